// Which model a flow has: a weight transformer, or a plain perceptron of vectors.
#pragma once
#include "config.h"
#include "token_coder.h"

namespace theta {

// Of networks that are coded so.
std::unique_ptr<FlowModel<float>> model_of(const FlowConfig &, const TokenCoder &);

} // namespace theta
