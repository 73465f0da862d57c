// The operations that programs are made of. To add one, here or anywhere: a class that derives from OperationWith, its
// step (step.h), and a function that appends it.
#pragma once
#include "kernels/runs/cnn_layer.h"
#include "program.h"

namespace theta {

// y = act(x·wᵀ + b) of the last axis: NAME.weight [out, in], NAME.bias [out].
Value linear(Program &, const std::string &name, Value x, int out, Activation act = Activation::none);

// PyTorch's LayerNorm over the last axis, eps 1e-5: NAME.weight, NAME.bias [width], which begin as 1 and 0.
Value layer_norm(Program &, const std::string &name, Value x);

// PyTorch's BatchNorm1d of vectors, eps 1e-5, momentum 0.1, with an activation: NAME.weight, NAME.bias [width], and for
// state NAME.running_mean, NAME.running_var, which inference normalises by.
Value batch_norm(Program &, const std::string &name, Value x, Activation act = Activation::none);

Value activation(Program &, Value x, Activation act);
Value add(Program &, Value a, Value b);

// Of tokens [tokens, width]. Attention of all to all: x has 3·width, queries, keys and values, each of `heads` heads.
Value attention(Program &, Value x, int heads);
// y = x + what each place has of its own: NAME [tokens, width], ±0.02 (as ViT's and GPT's begin).
Value positions(Program &, const std::string &name, Value x);
// The mean of all tokens: [width].
Value mean_of_tokens(Program &, Value x);

// [channels, side, side] -> [out, ...]: a square convolution without padding, then max pooling and the shape's
// activation, or this and the mean over the whole image: NAME.weight [out, in, kernel, kernel], NAME.bias [out]. Whole runs only.
Value convolution(Program &, const std::string &name, Value image, const CnnLayer &);
// [channels, side, side] -> [channels·side²].
Value flatten(Program &, Value image);

} // namespace theta
