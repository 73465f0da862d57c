// Networks with codes (form.h) as the numbers that these are: every code a number, and the logarithms of scales behind
// them. What generators learn in place of weights (fit.codes): shapes of the kind "coded", whose networks nobody trains.
#pragma once
#include "form.h"

namespace theta {

// What generators learn of networks with codes: weights; codes as numbers like others (ordinal); or codes as one of their
// values each (categorical), whose noise is known (kernels/operations/code_posterior.h).
enum class CodesAs { weights, ordinal, categorical };
CodesAs codes_as_named(std::string_view name); // throws InputError
const char *name_of(CodesAs);

// Of a shape with codes. Throws InputError for one without.
NetworkShape coded_of(const NetworkShape &, CodesAs);
bool is_coded(const NetworkShape &);
CodesAs codes_of(const NetworkShape &);      // weights, where it is none
int most_code_of(const NetworkShape &coded); // of its codes −most..most

// Elements of a coded row that are codes: 1, else 0.
std::vector<std::uint8_t> code_places(const NetworkShape &coded);

// A scale tensor of a coded layout: of which tensor of weights, and where its numbers are.
struct CodedScale {
  std::size_t tensor, offset, count;
  CodeScale how;
};
std::vector<CodedScale> scales_of(const NetworkShape &coded);

class CodedRows {
public:
  explicit CodedRows(const NetworkShape &coded);
  std::size_t parameters() const { return parameters_; }      // of a coded row
  std::size_t weights() const { return codec_.parameters(); } // V
  // theta [V] in the form, row [parameters()]. Scales below 1e-12 count as that.
  void row_of(const float *theta, float *row) const;
  void theta_of(const float *row, float *theta) const; // codes rounded
  void round(float *row) const;                        // its codes

private:
  std::size_t parameters_;
  std::vector<CodedScale> scales_;
  RowCodec codec_;
};

} // namespace theta
