// A layer of a small convolutional network: how the networks of a zoo are described, and trained (cnn_training.h).
#pragma once

namespace theta {

constexpr int most_cnn_layers = 8;

struct CnnLayer {
  int channels, kernel, pool = 1; // pool: 1 (none) or 2 (windows of 2x2; an odd last row or column is left out)
  int stride = 1;                 // 1 or 2: every place, or every second one in both directions
  bool average = false;           // global average pooling of the activations; pool is 1
};

} // namespace theta
