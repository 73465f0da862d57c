// A trained flow of networks as tokens, and its tensors in a file.
#pragma once
#include "config.h"
#include "engine/generators/generator_file.h"

namespace theta {

// A trained one, in host memory.
struct TrainedFlow {
  FlowConfig config;
  ZooFormat networks;                 // what it generates
  std::vector<float> mean, std;       // [S], of the tokens' elements
  std::vector<ConditionRange> ranges; // of its conditions
  std::vector<float> weights;
};

// What a training has found: of each architecture, mean and deviation of its tokens' elements; the conditions' ranges.
struct Learned {
  struct Scale {
    std::vector<float> mean, std;
  }; // [S]
  std::vector<Scale> tokens;
  std::vector<ConditionRange> ranges;
  std::vector<float> weights;
};

// One that was trained on networks of one format.
TrainedFlow trained_of(const FlowConfig &, const ZooFormat &, const Learned &);

// Its tensors in a file, their names after `prefix`; and back, into one whose config and networks are known already,
// where `where` names the file. Throws InputError where one is missing.
std::vector<TensorSource> tensors_of(const TrainedFlow &, const std::string &prefix = "");
void read_tensors(TrainedFlow &, const Safetensors &, const std::string &prefix = "");

} // namespace theta
