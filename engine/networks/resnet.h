// Residual networks (He et al., 2016) in torchvision's names and order: "conv1.weight", "bn1.weight", ...,
// "layer1.0.conv1.weight", ..., "layer2.0.downsample.0.weight", ..., "fc.bias".
#pragma once
#include "network.h"
#include <string>

namespace theta {

// The shape's widths: channels of each stage, the classes last. Each stage but the first halves the image.
struct ResNetSettings {
  int side = 0, channels = 1; // of the images
  // Four stages: 18, 34, 50, 101 or 152 layers as torchvision has them. Three stages: CIFAR's, 6n + 2 layers (20, 32,
  // 44, 56, 110), whose shortcuts are convolutions where widths change.
  int depth = 18;
  std::string stem = "small"; // a kernel of 3; or imagenet: 7, with stride 2 and max pooling
};

} // namespace theta
