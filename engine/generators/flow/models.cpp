#include "models.h"
#include "plain_perceptron.h"

namespace theta {

std::unique_ptr<FlowModel<float>> model_of(const FlowConfig &c, const TokenCoder &coder) {
  if (c.plain)
    return std::make_unique<PlainPerceptron<float>>(
        PlainPerceptronShape{int(coder.tokens().size()), c.width, c.features, c.dropout, c.arithmetic});
  return std::make_unique<WeightTransformer<float>>(coder.shape(c));
}

} // namespace theta
