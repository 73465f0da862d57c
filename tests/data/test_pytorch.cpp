// State dicts that torch.save wrote (tests/golden/make_torch.py).
#include "data/pickle.h"
#include "data/pytorch.h"
#include "tests/scratch.h"
#include <cstring>

using namespace theta;
using namespace theta::test;

namespace {

std::filesystem::path saved(const std::string &name) { return "tests/golden/torch_" + name + ".pt"; }

std::string refusal(const std::string &name) {
  try {
    read_pytorch(saved(name));
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

std::string unpickling(const std::string &bytes) {
  try {
    unpickled(std::as_bytes(std::span(bytes)), "x");
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

} // namespace

TEST_CASE("pytorch: a state dict's names, shapes and values, however it was saved") {
  const auto plain = read_pytorch(saved("state_dict"));
  REQUIRE(plain.size() == 1);
  REQUIRE(plain[0].tensors.size() == 4);
  CHECK(plain[0].tensors[0].name == "0.weight");
  CHECK(plain[0].tensors[0].shape == Shape{4, 6});
  CHECK(plain[0].tensors[0].values[0] == 0.21035532653331757f); // as Python printed it
  CHECK(plain[0].tensors[3].values[2] == 0.37496238946914673f);
  for (const char *other : {"nested", "parameters"}) {
    const auto same = read_pytorch(saved(other));
    REQUIRE(same.size() == 1);
    for (std::size_t t = 0; t < 4; ++t) {
      CHECK(same[0].tensors[t].name == plain[0].tensors[t].name);
      CHECK(same[0].tensors[t].values == plain[0].tensors[t].values);
    }
  }
  const auto rounded = read_pytorch(saved("bf16"));
  CHECK(rounded[0].tensors[0].values[0] == doctest::Approx(0.2103553).epsilon(1.0 / 256));
  const auto turned = read_pytorch(saved("transposed")); // strides
  CHECK(turned[0].tensors[0].shape == Shape{6, 4});
  CHECK(turned[0].tensors[0].values[4] == plain[0].tensors[0].values[1]);
  const auto views = read_pytorch(saved("views"));
  CHECK(views[0].tensors[0].values[6] == 12); // row 1 of arange(40).reshape(4, 10)[:, 2:8]
  CHECK(views[0].tensors[1].values == std::vector<float>{0, 10, 20, 30});
  CHECK(read_pytorch(saved("list")).size() == 3);
  const auto half = read_pytorch(saved("half_bn"));
  CHECK(half[0].left_out == std::vector<std::string>{"bn.num_batches_tracked"});
  CHECK(half[0].tensors[2].name == "bn.weight");
  CHECK(half[0].tensors[2].values == std::vector<float>{1, 1, 1, 1});
}

TEST_CASE("pytorch: whatever is no state dict is refused by its name, and nothing is run") {
  CHECK(refusal("module").find("torch.nn.modules.container.Sequential") != std::string::npos);
  CHECK(refusal("two").find("'a', 'b'") != std::string::npos);
  CHECK(refusal("old").find("before version 1.6") != std::string::npos);
  using namespace std::string_literals;
  const std::string call = "\x80\x02"s + "cposix\nsystem\nX\x02\x00\x00\x00"s + "ls\x85R."s; // os.system("ls")
  const auto asked = unpickled(std::as_bytes(std::span(call)), "x");
  CHECK((asked->kind == Pickled::Kind::opaque && asked->text == "posix.system" && asked->items.empty()));
  for (const auto &[bytes, value] : {std::pair{"\x8a\x01\xff."s, -1L},
                                     {"\x8a\x00."s, 0L},
                                     {"\x8a\x02\x00\x80."s, -32768L},
                                     {"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\x00."s, 9223372036854775807L},
                                     {"\x8b\x03\x00\x00\x00\x01\x02\x03."s, 197121L},
                                     {"I12\n."s, 12L},
                                     {"L-7L\n."s, -7L}}) {
    const auto whole = unpickled(std::as_bytes(std::span(bytes)), "x");
    CHECK((whole->kind == Pickled::Kind::integer && whole->integer == value));
  }
  const std::string beyond = "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00."s; // 2^64 - 1
  CHECK(unpickled(std::as_bytes(std::span(beyond)), "x")->kind == Pickled::Kind::opaque);
  CHECK(unpickling("\x80\x02]q\0h\0a."s).find("holds itself") != std::string::npos);
  CHECK(unpickling("\x80\x02]q\0]h\0ah\0h\0a."s) != ""); // changed once it is held
  CHECK(unpickling("\x80\x02(((("s + std::string(200, '(')).find("nested deeper") != std::string::npos);
  CHECK(unpickling("\x80\x02)"s + std::string(200, '\x85') + ".").find("nested deeper") != std::string::npos);
  CHECK(unpickling("\x80\x02X\xff\xff\xff\xff"s + "a.").find("ends too early") != std::string::npos);
  CHECK(unpickling("\x80\x02h\x05."s).find("has not kept") != std::string::npos);
  CHECK(unpickling("\x80\x02."s).find("empty stack") != std::string::npos);
  CHECK(unpickling("\x80\x02\xee").find("opcode") != std::string::npos);
}
