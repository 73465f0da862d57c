// Whole trainings of small convolutional classifiers (ModelZoos: Schürholt et al., 2022), as mlp_training.h. A network
// is a chain of square convolutions without padding, each followed by max pooling and an activation, or by an
// activation and the mean over the whole image; a linear layer is a convolution whose kernel covers the whole image
// that it sees. For a batch of B images x:
//   z_l = W_l ⋆ h_l + b_l,  h_{l+1} = act(pool(z_l))·dropout,  loss = mean cross-entropy of the last z
#pragma once
#include "cnn_layer.h"
#include "training_run.h"

namespace theta {

struct CnnTraining {
  int channels, side; // of the images
  int layers;
  CnnLayer layer[most_cnn_layers];
  int batch;

  // Channels and side of a layer's input; of the output of the last at l = layers.
  THETA_HOST_DEVICE int in_channels(int l) const { return l > 0 ? layer[l - 1].channels : channels; }
  THETA_HOST_DEVICE int in_side(int l) const {
    int s = side;
    for (int i = 0; i < l; ++i)
      s = layer[i].average ? 1 : ((s - layer[i].kernel) / layer[i].stride + 1) / layer[i].pool;
    return s;
  }
  THETA_HOST_DEVICE int out_side(int l) const { // before pooling
    return (in_side(l) - layer[l].kernel) / layer[l].stride + 1;
  }
  THETA_HOST_DEVICE int in_size(int l) const { return in_channels(l) * in_side(l) * in_side(l); }
  THETA_HOST_DEVICE int out_size(int l) const { return layer[l].channels * out_side(l) * out_side(l); }
  THETA_HOST_DEVICE int taps(int l) const { return in_channels(l) * layer[l].kernel * layer[l].kernel; }
  THETA_HOST_DEVICE int weights(int l) const { return layer[l].channels * taps(l); }
};

std::size_t parameters_of(const CnnTraining &);      // V: weights [out, in, kernel, kernel] and biases, layer by layer
double multiply_adds_of(const CnnTraining &, int l); // of a layer's forward for one image

// Whether the operations can hold such a network: on cuda where its weights and optimiser's state, and a few images on
// their way, fit into a multiprocessor's shared memory; on the cpu always.
bool cnn_training_fits(Backend, const CnnTraining &);

// Bytes of workspace that they need on a device.
std::size_t cnn_training_workspace(Backend, const CnnTraining &, int networks);

// As train_mlps. FLOPs a step and network: 6·B·Σ multiply-adds, less a third of the first layer's. Bytes: B·pixels.
template <class T>
void train_cnns(Stream &, const TrainingRuns<T> &runs, const ImageSet &, const CnnTraining &, long first, long last,
                void *workspace);

// As evaluate_mlps.
template <class T>
void evaluate_cnns(Stream &, T *loss, std::uint32_t *wrong, T *logits, const T *theta, const Activation *act,
                   int networks, const ImageSet &, const CnnTraining &, void *workspace);

namespace cuda {
bool cnn_training_fits(const CnnTraining &);
}

} // namespace theta
