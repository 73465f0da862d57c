#include "npy.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include "zip_file.h"
#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace theta {

namespace {

// The header, a Python dict of three keys: {'descr': '<f4', 'fortran_order': False, 'shape': (6, 3322), }
class NpyHeader {
public:
  NpyHeader(std::string_view text, const std::string &where) : text_(text), where_(where) {}

  std::string descr;
  bool fortran = false;
  Shape shape;

  void parse() {
    expect('{');
    int seen = 0;
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr")
        descr = quoted(), seen |= 1;
      else if (key == "fortran_order")
        fortran = boolean(), seen |= 2;
      else if (key == "shape")
        sides(), seen |= 4;
      else
        wrong();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    space();
    if (seen != 7 || at_ != text_.size())
      wrong();
  }

private:
  [[noreturn]] void wrong() const {
    throw InputError(where_, ": its header is not that of a numpy array: found '", text_.substr(0, 80), "'");
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
      ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c))
      wrong();
  }
  std::string quoted() {
    space();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    const auto end = text_.find(quote, at_ + 1);
    if ((quote != '\'' && quote != '"') || end == std::string_view::npos)
      wrong(); // a list of fields, among others
    const std::string found(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return found;
  }
  bool boolean() {
    space();
    for (const auto &[word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    wrong();
  }
  void sides() {
    expect('(');
    while (!take(')')) {
      space();
      std::int64_t side = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), side);
      if (error != std::errc{} || side < 0)
        wrong();
      at_ = std::size_t(end - text_.data());
      if (at_ < text_.size() && text_[at_] == 'L') // a long of Python 2
        ++at_;
      shape.push_back(side);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  const std::string &where_;
  std::size_t at_ = 0;
};

// `swapped`: numbers lie with their highest byte first.
bool known_type(std::string descr, Dtype &dtype, bool &swapped) {
  swapped = descr.starts_with('>');
  if (descr.starts_with('>') || descr.starts_with('='))
    descr[0] = '<';
  static const std::pair<const char *, Dtype> all[] = {
      {"<f4", Dtype::f32},     {"<f8", Dtype::f64}, {"<f2", Dtype::f16}, {"<i8", Dtype::i64},
      {"<i4", Dtype::i32},     {"<u4", Dtype::u32}, {"<u8", Dtype::u64}, {"|u1", Dtype::u8},
      {"|b1", Dtype::boolean}, {"|i1", Dtype::i8},  {"<i2", Dtype::i16}, {"<u2", Dtype::u16}};
  for (const auto &[name, type] : all)
    if (descr == name) {
      dtype = type;
      return true;
    }
  return false;
}

// From Fortran's order, the first index fastest, to C's, the last.
std::vector<std::byte> in_c_order(const std::vector<std::byte> &bytes, const Shape &shape, std::size_t element) {
  std::vector<std::byte> out(bytes.size());
  const std::size_t n = bytes.size() / element;
  for (std::size_t i = 0; i < n; ++i) { // i counts in C's order
    std::size_t rest = i, from = 0, stride = n;
    for (std::size_t d = shape.size(); d-- > 0;) {
      const auto side = std::size_t(shape[d]);
      stride /= side;
      from += rest % side * stride;
      rest /= side;
    }
    std::memcpy(out.data() + i * element, bytes.data() + from * element, element);
  }
  return out;
}

} // namespace

NpyArray parse_npy(std::span<const std::byte> file, const std::string &where) {
  const auto text = [&](std::size_t from, std::size_t n) {
    return std::string_view(reinterpret_cast<const char *>(file.data()) + from, n);
  };
  if (file.size() < 12 || text(0, 6) != "\x93NUMPY")
    throw InputError(where, ": is not a numpy array");
  const int version = int(file[6]);
  const std::size_t begin = version == 1 ? 10 : 12;
  std::uint32_t length = 0;
  std::memcpy(&length, file.data() + 8, version == 1 ? 2 : 4);
  if (version < 1 || version > 3 || length > file.size() - begin)
    throw InputError(where, ": found version ", version, " and a header of ", length, " bytes in a file of ",
                     file.size(), ", expected a numpy array");
  NpyHeader header(text(begin, length), where);
  header.parse();
  NpyArray array{header.shape, {}, {}};
  bool swapped = false;
  if (!known_type(header.descr, array.dtype, swapped))
    throw UnknownNpyType(where, ": found elements of type '", header.descr,
                         "', expected numbers such as '<f4' (little-endian)");
  const std::size_t element = size_of(array.dtype);
  std::size_t bytes = element;
  for (const auto side : array.shape) {
    if (side > 0 && bytes > (std::numeric_limits<std::size_t>::max() >> 1) / std::size_t(side))
      throw InputError(where, ": shape ", text_of(array.shape), " is too large");
    bytes *= std::size_t(side);
  }
  const auto data = file.subspan(begin + length);
  if (data.size() != bytes)
    throw InputError(where, ": found ", data.size(), " bytes of data, expected ", bytes, " of ", text_of(array.shape));
  array.bytes.assign(data.begin(), data.end());
  for (std::size_t at = 0; swapped && at < bytes; at += element)
    std::reverse(array.bytes.begin() + std::ptrdiff_t(at), array.bytes.begin() + std::ptrdiff_t(at + element));
  if (header.fortran && array.shape.size() > 1 && bytes > 0)
    array.bytes = in_c_order(array.bytes, array.shape, element);
  return array;
}

NpyArray read_npy(const std::filesystem::path &path) {
  const MappedFile file(path);
  return parse_npy(file.bytes(), path.string());
}

NpzArrays read_npz(const std::filesystem::path &path) {
  const ZipFile zip(path);
  NpzArrays arrays;
  for (const std::string &name : zip.names()) {
    const std::string key = name.ends_with(".npy") ? name.substr(0, name.size() - 4) : name;
    try {
      arrays.each.emplace_back(key, parse_npy(zip.read(name), path.string() + ": '" + key + "'"));
    } catch (const UnknownNpyType &) {
      arrays.left_out.push_back(key);
    }
  }
  return arrays;
}

} // namespace theta
