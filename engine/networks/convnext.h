// ConvNeXt (Liu et al., 2022) in timm's names and order: "stem.0.weight", "stem.1.weight", "stages.0.blocks.0.gamma",
// "stages.0.blocks.0.conv_dw.weight", ..., "stages.1.downsample.1.weight", ..., "head.norm.weight", "head.fc.weight".
#pragma once
#include "network.h"
#include <vector>

namespace theta {

// The shape's widths: channels of each stage, the classes last. The activation is the blocks'.
struct ConvNextSettings {
  int side = 0, channels = 1; // of the images
  int patch = 4;              // side and stride of the stem's kernel
  std::vector<int> blocks{3, 3, 9, 3};
  int kernel = 7; // of depthwise convolutions
};

} // namespace theta
