// Pickles (Python's pickle, protocols 0 to 5) as values. Nothing is ever called or made: tensors, dicts, lists, numbers
// and texts are what they say, and everything else (other classes' objects, bytes, sets, whole numbers beyond 64 bits)
// is an opaque value with the name of what it asked for.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace theta {

// A tensor in a pickle: elements of a storage, strided.
struct PickledTensor {
  std::string storage, dtype; // the storage's key; PyTorch's name: "FloatStorage"
  std::int64_t elements = 0;  // of the storage
  std::int64_t offset = 0;    // elements
  std::vector<std::int64_t> shape, stride;
};

struct Pickled {
  enum class Kind {
    none,
    boolean,
    integer,
    number,
    text,
    list,
    dict,
    storage,
    tensor,
    global,
    opaque
  } kind = Kind::none;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;                            // also the name of a global, or of what an opaque value asks for
  std::vector<std::shared_ptr<Pickled>> items; // of a list or tuple; of a dict: key, value, key, value, ...
  PickledTensor tensor{};
  int depth = 1;        // of what it holds
  bool is_held = false; // by another: it changes no more, so that nothing holds itself
};

// Throws InputError, naming `where`.
std::shared_ptr<Pickled> unpickled(std::span<const std::byte> bytes, const std::string &where);

} // namespace theta
