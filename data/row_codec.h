// Networks' rows in the form in which they run: whole numbers of few bits with a scale a group of weights, or a mask of
// those that are kept and their values. To the bit, of one row, streams:
//   numbers               F32 or BF16, as the zoo's: tensor by tensor its scales, or where it is not coded its elements;
//                         then the values that the mask keeps
//   codes.ternary [⌈n/5⌉] U8: five codes −1, 0, 1 a byte, Σ (code + 1)·3^i, the first of them i = 0
//   codes.int4    [⌈n/2⌉] U8: two codes −7..7 a byte, code + 8 each, the first in the low half
//   codes.int8    [n]     I8: codes −127..127
//   mask          [⌈n/8⌉] U8: a bit a weight, the first in the lowest; 1: kept
// n: weights of all tensors of that code, tensors in the layout's order, elements in theirs (PyTorch's). A weight is its
// code times its group's scale, exactly in fp32: scales have at most 16 significant bits.
#pragma once
#include "dtype.h"
#include "shape.h"
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace theta {

// plain: as the zoo's numbers are. kept: by a mask.
enum class Code { plain, int8, int4, ternary, kept };
// What weights of a matrix [out, ...] share a scale: none, which is 1; those of an output; stretches of `run` of these; those
// of an input unit, `run` neighbours a row; all.
enum class CodeScale { one, rows, blocks, columns, whole };

struct Codec {
  Code code = Code::plain;
  CodeScale scale = CodeScale::one;
  int run = 1;
  bool operator==(const Codec &) const = default;
};
const char *name_of(Code);
const char *name_of(CodeScale);
Code code_named(std::string_view);
CodeScale code_scale_named(std::string_view);
int most_code(Code); // of the codes −most..most; 0 where there are none

// The scale of weights, and their codes, that leaves the least squared error: weights that are multiples of a scale
// already get the smallest codes that say them. Ternary: the best of all; int4, int8: the best of some hundred tried, each
// with the scale that least squares give its codes. Not a number where a weight is not finite.
float best_scale(std::span<const float> weights, int most, bool in_bf16);
// The code of a weight.
int code_of(float weight, float scale, int most);

class RowCodec {
public:
  // `kept`: of all weights with Code::kept together, how many are. Throws InputError, naming `where`, for what cannot be.
  RowCodec(std::vector<Shape> tensors, std::vector<Codec>, std::size_t kept, Dtype numbers, const std::string &where);

  // A tensor among a row's weights, and which of its elements share a scale.
  struct Tensor {
    Codec codec;
    std::size_t offset, elements, row; // row: elements of an output
    std::size_t groups() const;        // 0: none has one
    std::size_t group_of(std::size_t element) const;
  };
  const std::vector<Tensor> &tensors() const { return tensors_; }
  std::size_t parameters() const { return parameters_; } // V

  struct Stream {
    std::string name;
    Dtype dtype;
    std::size_t elements; // of a row
    std::size_t bytes() const { return elements * size_of(dtype); }
  };
  const std::vector<Stream> &streams() const { return streams_; }
  std::size_t bytes() const; // of a row, all streams

  // A row's streams one behind another. Of weights with Code::kept the largest by magnitude are.
  std::vector<std::byte> encode(const float *theta) const;
  void decode(const std::byte *row, float *theta) const;
  // The codes alone [V]: 0 or 1 of a mask, 0 where there are none.
  void codes(const std::byte *row, std::int8_t *) const;
  // The numbers alone, as the stream of that name has them.
  std::vector<float> numbers(const std::byte *row) const;
  // A row of weights as it would be read after it had been written.
  void round(float *theta) const { decode(encode(theta).data(), theta); }

private:
  std::size_t count_of(Code) const;
  const Stream *stream(Code, std::size_t &at) const; // at: where it begins in a row
  std::vector<Tensor> tensors_;
  std::vector<Stream> streams_;
  std::size_t parameters_ = 0, kept_;
  Dtype dtype_;
};

} // namespace theta
