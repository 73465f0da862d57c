// Classifiers of convolutions ("conv1.weight" [out, in, kernel, kernel], "conv1.bias", ...), each with max pooling or
// the mean of the image and an activation, and linear layers ("fc1.weight" [out, in], ...): ModelZoos (Schürholt et
// al., 2022), G.pt (Peebles et al., 2022).
#pragma once
#include "kernels/runs/cnn_training.h"
#include "network.h"
#include <vector>

namespace theta {

struct CnnSettings {          // the shape's widths: what the linear layers give, the classes last
  int side = 0, channels = 1; // of the images
  std::vector<CnnLayer> convolutions{};
};

// As the operation that trains whole runs takes it. Throws InputError for more layers than it has.
CnnTraining cnn_training_of(const NetworkShape &, int batch);

} // namespace theta
