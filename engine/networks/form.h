// The form in which networks run: their matrices as whole numbers of few bits with scales, or with all but some of their
// weights zero. What has one axis, what is added to tokens, and state stay as they are.
//
// A scale a unit: in a chain of layers with ReLU, whose units may be scaled, a hidden unit has one, of its outgoing
// weights, to which that of its incoming ones has gone; the first layer's rows have one each while they are trained. In
// other networks every output has one.
#pragma once
#include "data/row_codec.h"
#include "engine/settings/keys.h"
#include "kernels/operations/codes.h"
#include "network.h"

namespace theta {

const char *name_of(FormKind);
const char *name_of(FormScale);

// The keys of [network] that say it.
void describe(Keys &, NetworkForm &);

// The matrices, as operations see them; none where networks have no form. Throws InputError for more than these take.
std::vector<CodedTensor> coded_tensors(const NetworkShape &);
int most_code(const NetworkForm &);             // of codes −most..most; 0: no codes
std::size_t kept_weights(const NetworkShape &); // of sparse ones, how many of all coded weights

// Says in a zoo's format how such networks are stored.
void store_in_form(ZooFormat &, const NetworkShape &);

// Says of networks that are in no form any more, whatever their zoo's were, that they are stored as plain numbers.
void store_plainly(ZooFormat &);

// Brings weights theta [V] in host memory into the form: the nearest of it, and what is in it already stays but for the
// scale of ReLU's units, and the 16 significant bits that scales have.
class IntoForm {
public:
  // numbers: as they will be stored, F32 or BF16.
  explicit IntoForm(const NetworkShape &, Dtype numbers = Dtype::f32);
  bool is_something() const { return codec_.has_value(); }
  void operator()(float *theta) const; // nothing where networks have no form
  std::size_t bytes() const;           // of a network as stored

private:
  std::vector<CodedTensor> tensors_;
  std::size_t bias_ = 0; // of the first layer, where its scales go into the next
  int most_ = 0;
  bool moves_ = false, of_four_ = false;
  bool in_bf16_ = false;
  std::size_t parameters_ = 0;
  std::optional<RowCodec> codec_;
};

} // namespace theta
