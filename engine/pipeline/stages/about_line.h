// What generators learn about a straight line: of every network what a ridge regression on the generator's conditions
// (engine/weights/ridge.h) leaves; samples are the line at what they were told, and what is generated. For any generator
// that is told numbers: it sees another zoo, and knows nothing of this.
#pragma once
#include "engine/generators/conditions.h"
#include "engine/weights/ridge.h"
#include <filesystem>

namespace theta {

class AboutLine {
public:
  // Fits the line to the training rows, and writes a zoo of what it leaves of all rows into `rest`. Throws InputError
  // without conditions; they are numbers of the wanted network (config.cpp).
  AboutLine(const ZooReader &, const std::vector<std::size_t> &training, const std::vector<std::string> &conditions,
            const std::filesystem::path &rest);
  void save(const std::filesystem::path &, const std::string &key) const;
  // Throws InputError where the file is missing, or is not of that key.
  AboutLine(const std::filesystem::path &, const std::string &key, std::size_t parameters);

  double explained() const { return ridge_->explained(); }
  // The line at the conditions [K], [V]; what was not told counts as what it is in the mean.
  void answer(const float *told, float *theta) const;

private:
  std::vector<float> mean_; // of each condition
  std::optional<Ridge> ridge_;
};

} // namespace theta
