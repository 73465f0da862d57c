// numpy's arrays and tables of numbers as other programs write them.
#include "data/csv.h"
#include "data/npy.h"
#include "tests/npy_files.h"
#include "tests/scratch.h"
#include <cstring>

using namespace theta;
using namespace theta::test;

namespace {

template <class F> std::string refusal(F read) {
  try {
    read();
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

NpyArray parsed(const std::string &bytes) { return parse_npy(std::as_bytes(std::span(bytes)), "x.npy"); }

} // namespace

TEST_CASE("npy: types, orders and shapes; what is damaged is refused") {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const auto plain = parsed(npy_bytes("<f4", false, "(2, 3)", values));
  CHECK(plain.shape == Shape{2, 3});
  CHECK(to_floats(plain.dtype, plain.bytes.data(), 6) == values);
  const auto fortran = parsed(npy_bytes("<f4", true, "(2, 3)", values));
  CHECK(to_floats(fortran.dtype, fortran.bytes.data(), 6) == std::vector<float>{1, 3, 5, 2, 4, 6});
  CHECK(parsed(npy_bytes("<f4", false, "(6,)", values)).shape == Shape{6});
  CHECK(parsed(npy_bytes("<f4", false, "()", std::vector<float>{7})).shape.empty());
  CHECK(parsed(npy_bytes("<f8", false, "(3,)", std::vector<double>{1, 2, 3})).dtype == Dtype::f64);
  CHECK(parsed(npy_bytes("<f4", false, "(2L, 3L)", values)).shape == Shape{2, 3}); // Python 2's
  const auto swapped = parsed(npy_bytes(">u2", false, "(2,)", std::vector<std::uint16_t>{0x0102, 0xff00}));
  CHECK(swapped.bytes == std::vector<std::byte>{std::byte(1), std::byte(2), std::byte(0xff), std::byte(0)});
  const std::pair<std::string, const char *> bad[] = {
      {npy_bytes("|O", false, "(2, 3)", values), "'|O'"},
      {npy_bytes("<f4", false, "(2, 4)", values), "expected 32"},
      {npy_bytes("<f4", false, "(2, -3)", values), "header"},
      {npy_bytes("<f4", false, "(9223372036854775807, 9)", values), "too large"},
      {npy_bytes("<f4", false, "(2, 3", values), "header"},
      {"\x93NUMPY", "not a numpy array"},
      {std::string("\x93NUMPY\x01\x00\xff\xff{", 11) + "    ", "header of 65535"},
      {"", "not a numpy array"}};
  for (const auto &[bytes, part] : bad) {
    CAPTURE(part);
    const auto said = refusal([&] { parsed(bytes); });
    CAPTURE(said);
    CHECK(said.find(part) != std::string::npos);
  }
}

TEST_CASE("csv: as people write them") {
  const Scratch folder;
  const auto path = folder.path() / "m.csv";
  const auto read = [&](const std::string &text) {
    std::ofstream(path, std::ios::binary) << text;
    return read_csv(path);
  };
  const auto plain = read("file,loss\na.pt,0.5\nb.pt,0.25\n");
  CHECK(plain.header == std::vector<std::string>{"file", "loss"});
  CHECK(plain.rows[1] == std::vector<std::string>{"b.pt", "0.25"});
  for (const char *same :
       {"\xef\xbb\xbf"
        "file,loss\na.pt,0.5\nb.pt,0.25\n",
        "file,loss\r\na.pt, 0.5\r\nb.pt,0.25\r\n\r\n", "\"file\",\"loss\"\n\"a.pt\",0.5\n\n\nb.pt,0.25"}) {
    const auto table = read(same);
    CHECK(table.header == plain.header);
    CHECK(table.rows == plain.rows);
  }
  CHECK(read("file,note\na.pt,\"a, \"\"b\"\"\nc\"\n").rows[0][1] == "a, \"b\"\nc");
  CHECK(refusal([&] { read(""); }).find("no lines") != std::string::npos);
  CHECK(refusal([&] { read("file,loss\na.pt\n"); }).find("line 2: found 1 fields, expected 2") != std::string::npos);
}
