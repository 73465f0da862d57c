// The operations that programs are made of. To add one, here or anywhere: a class that derives from OperationWith, its
// step (step.h), and a function that appends it.
#pragma once
#include "program.h"

namespace theta {

// y = act(x·wᵀ + b) of the last axis: NAME.weight [out, in], NAME.bias [out].
Value linear(Program &, const std::string &name, Value x, int out, Activation act = Activation::none);

// PyTorch's LayerNorm over the last axis: NAME.weight, NAME.bias [width], which begin as 1 and 0.
Value layer_norm(Program &, const std::string &name, Value x, double eps = 1e-5);

// PyTorch's BatchNorm of vectors or images, eps 1e-5, momentum 0.1, with an activation: NAME.weight, NAME.bias [width], and for
// state NAME.running_mean, NAME.running_var, which inference normalises by.
Value batch_norm(Program &, const std::string &name, Value x, Activation act = Activation::none);

Value activation(Program &, Value x, Activation act);
Value add(Program &, Value a, Value b);

// NAME.weight [vocabulary, width], begun evenly with that deviation (PyTorch's Embedding has 1): of numbers
// [tokens], whole ones below the vocabulary, to tokens [tokens, width]. The numbers are the program's input.
Value embedding(Program &, const std::string &name, Value numbers, int vocabulary, int width, double deviation = 1);

// y = x·Wᵀ for each token, W the weights of the embedding that made `embedded`, whose units x's are: [tokens, vocabulary].
Value scores_of_vocabulary(Program &, Value x, Value embedded);

// Of tokens [tokens, width]. Attention of all to all, or causal, to those up to themselves: x has 3·width, queries, keys
// and values, each of `heads` heads.
Value attention(Program &, Value x, int heads, bool causal = false);
// Of queries, keys and values [tokens, 3·width], before attention: the former two are turned by their places.
Value rotary(Program &, Value x, int heads);
// y = x + what each place has of its own: NAME [places, width], ±0.02 (as ViT's and GPT's begin), of which tokens have the
// first; 0: as many as there are tokens. of_a_batch: [1, places, width].
Value positions(Program &, const std::string &name, Value x, bool of_a_batch = false, int places = 0);
// One more token before all others, the same for every example: NAME [1, 1, width], begun as positions.
Value class_token(Program &, const std::string &name, Value x);
// The mean of all tokens, or the first one: [width].
Value mean_of_tokens(Program &, Value x);
Value first_token(Program &, Value x);
// y = x + scale·branch; scale [width] is a tensor of the program, by its index.
Value scaled_add(Program &, std::size_t scale, Value x, Value branch);

// Between images [channels, height, width] and tokens [height·width, channels], row by row of the image.
Value tokens_of(Program &, Value image);
Value image_of(Program &, Value tokens, int height);

// Of images [channels, height, width]. PyTorch's Conv2d with a square kernel: NAME.weight [out, in / groups, kernel,
// kernel], and NAME.bias [out] where it has one. Groups: one, or one of each channel, which stays a unit (depthwise).
// A sequence is an image of one row, with kernels [out, in / groups, kernel] (Conv1d).
struct Convolution {
  int channels, kernel = 3, stride = 1, padding = 0, groups = 1;
  bool has_bias = true, is_sequence = false;
};
Value convolution(Program &, const std::string &name, Value image, const Convolution &);
// PyTorch's MaxPool2d.
Value max_pool(Program &, Value image, int window, int stride, int padding = 0);
// The mean of each channel: [channels].
Value mean_of_image(Program &, Value image);
// [channels·height·width].
Value flatten(Program &, Value image);

} // namespace theta
