#include "pytorch.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include "pickle.h"
#include "zip_file.h"
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

namespace theta {

namespace {

using Value = std::shared_ptr<Pickled>;
constexpr int most_nested = 8;

bool dtype_of_storage(const std::string &storage, Dtype &dtype) {
  static const std::pair<const char *, Dtype> all[] = {{"FloatStorage", Dtype::f32}, {"DoubleStorage", Dtype::f64},
                                                       {"HalfStorage", Dtype::f16},  {"BFloat16Storage", Dtype::bf16},
                                                       {"LongStorage", Dtype::i64},  {"IntStorage", Dtype::i32},
                                                       {"ShortStorage", Dtype::i16}, {"CharStorage", Dtype::i8},
                                                       {"ByteStorage", Dtype::u8},   {"BoolStorage", Dtype::boolean}};
  for (const auto &[name, type] : all)
    if (storage == name) {
      dtype = type;
      return true;
    }
  return false;
}

class Archive {
public:
  explicit Archive(const std::filesystem::path &path) : where_(path.string()), zip_(path) {
    for (const std::string &name : zip_.names())
      if (name == "data.pkl" || name.ends_with("/data.pkl"))
        root_ = name.substr(0, name.size() - std::string_view("data.pkl").size()), found_ = true;
    if (!found_)
      throw InputError(where_, ": found a zip archive without data.pkl, expected what torch.save writes");
    if (zip_.has(root_ + "byteorder")) {
      const auto order = zip_.read(root_ + "byteorder");
      if (std::string_view(reinterpret_cast<const char *>(order.data()), order.size()) != "little")
        throw InputError(where_, ": found another byte order, expected little-endian numbers");
    }
  }
  Value root() const { return unpickled(zip_.read(root_ + "data.pkl"), where_); }
  const std::string &where() const { return where_; }

  NamedTensor tensor(const std::string &name, const PickledTensor &t, Dtype dtype) {
    const std::string where = where_ + ": tensor '" + name + "'";
    const std::vector<std::byte> &bytes = storage(t.storage);
    const std::size_t element = size_of(dtype), held = bytes.size() / element;
    std::size_t n = 1, last = std::size_t(std::max<std::int64_t>(0, t.offset));
    for (std::size_t d = 0; d < t.shape.size(); ++d) {
      const std::int64_t side = t.shape[d], stride = t.stride[d];
      if (side < 1 || stride < 0 || n > std::numeric_limits<std::uint32_t>::max() * 64ull / std::size_t(side) ||
          (side > 1 && std::size_t(stride) > held))
        throw InputError(where, ": found side ", side, " and stride ", stride, ", which its storage does not hold");
      n *= std::size_t(side), last += std::size_t(side - 1) * std::size_t(stride);
    }
    if (t.offset < 0 || last >= held || n > held * std::max<std::size_t>(1, held))
      throw InputError(where, ": reaches to element ", last, " of a storage of ", held);
    std::vector<std::byte> packed(n * element);
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t rest = i, at = std::size_t(t.offset);
      for (std::size_t d = t.shape.size(); d-- > 0; rest /= std::size_t(t.shape[d]))
        at += rest % std::size_t(t.shape[d]) * std::size_t(t.stride[d]);
      std::memcpy(packed.data() + i * element, bytes.data() + at * element, element);
    }
    return {name, t.shape, to_floats(dtype, packed.data(), n)};
  }

private:
  const std::vector<std::byte> &storage(const std::string &key) {
    auto &bytes = storages_[key];
    if (bytes.empty())
      bytes = zip_.read(root_ + "data/" + key);
    return bytes;
  }

  std::string where_, root_;
  ZipFile zip_;
  bool found_ = false;
  std::map<std::string, std::vector<std::byte>> storages_;
};

bool holds_tensors(const Value &v) {
  if (v->kind != Pickled::Kind::dict)
    return false;
  for (std::size_t i = 0; i + 1 < v->items.size(); i += 2)
    if (v->items[i]->kind == Pickled::Kind::text && v->items[i + 1]->kind == Pickled::Kind::tensor)
      return true;
  return false;
}

struct StateDict {
  std::string path, key; // of keys to it, and the last of them
  int depth;
  Value dict;
};

// State dicts at and below a value.
void find_state_dicts(const Value &v, const StateDict &here, std::vector<StateDict> &found) {
  if (holds_tensors(v))
    found.push_back(here);
  if (v->kind != Pickled::Kind::dict || here.depth == most_nested)
    return;
  for (std::size_t i = 0; i + 1 < v->items.size(); i += 2)
    if (const Value &key = v->items[i], &value = v->items[i + 1]; key->kind == Pickled::Kind::text)
      find_state_dicts(value,
                       {here.path.empty() ? key->text : here.path + "." + key->text, key->text, here.depth + 1, value},
                       found);
}

// The name of an object in a value, if there is one.
std::string object_in(const Value &v) {
  if (v->kind == Pickled::Kind::opaque)
    return v->text;
  std::string name;
  for (std::size_t i = 0; i < v->items.size() && name.empty(); ++i)
    name = object_in(v->items[i]);
  return name;
}

// A dict under a usual name goes before tensors that lie loose around it (a loss, a best accuracy), however deep.
Value state_dict_of(const Value &root, const std::string &where) {
  std::vector<StateDict> found;
  find_state_dicts(root, {"", "", 0, root}, found);
  if (found.empty()) {
    if (const std::string name = object_in(root); !name.empty())
      throw InputError(where, ": found no tensors under names; it asks for '", name,
                       "', expected a state dict: save it with torch.save(model.state_dict(), ...)");
    throw InputError(where, ": found no tensors under names, expected a state dict");
  }
  std::stable_sort(found.begin(), found.end(), [](const auto &a, const auto &b) { return a.depth < b.depth; });
  for (const char *usual : {"state_dict", "model_state_dict", "model_state", "net_state_dict", "model", "net",
                            "network", "module", "weights", "params", "parameters"})
    for (const StateDict &each : found)
      if (each.key == usual)
        return each.dict;
  if (found.size() == 1 || found[0].depth == 0)
    return found[0].dict;
  std::string all;
  for (const StateDict &each : found)
    all += (all.empty() ? "'" : ", '") + each.path + "'";
  throw InputError(where, ": found ", found.size(), " state dicts (", all,
                   "), expected one, or one called 'state_dict'");
}

TensorTable table_of(Archive &archive, const Value &dict) {
  TensorTable table;
  for (std::size_t i = 0; i + 1 < dict->items.size(); i += 2) {
    const Value &key = dict->items[i], &value = dict->items[i + 1];
    if (key->kind != Pickled::Kind::text)
      throw InputError(archive.where(), ": found a key that is no text, expected names of tensors");
    Dtype dtype{};
    const bool empty =
        value->kind == Pickled::Kind::tensor &&
        std::find(value->tensor.shape.begin(), value->tensor.shape.end(), 0) != value->tensor.shape.end();
    if (value->kind == Pickled::Kind::tensor && dtype_of_storage(value->tensor.dtype, dtype) && is_floating(dtype) &&
        !empty)
      table.tensors.push_back(archive.tensor(key->text, value->tensor, dtype));
    else
      table.left_out.push_back(key->text);
  }
  return table;
}

} // namespace

std::vector<TensorTable> read_pytorch(const std::filesystem::path &path) {
  {
    const MappedFile file(path);
    if (file.bytes().size() > 2 && file.bytes()[0] == std::byte(0x80) && int(file.bytes()[1]) <= 5)
      throw InputError(path.string(), ": is in PyTorch's format of before version 1.6, expected the one of today; "
                                      "torch.save it again");
  }
  Archive archive(path);
  const Value root = archive.root();
  std::vector<std::string> opaque; // beside the state dict
  for (std::size_t i = 0; root->kind == Pickled::Kind::dict && i + 1 < root->items.size(); i += 2)
    if (root->items[i]->kind == Pickled::Kind::text && root->items[i + 1]->kind == Pickled::Kind::opaque)
      opaque.push_back(root->items[i]->text);
  std::vector<TensorTable> networks;
  if (root->kind == Pickled::Kind::list) {
    for (const Value &one : root->items)
      networks.push_back(table_of(archive, state_dict_of(one, archive.where())));
    if (networks.empty())
      throw InputError(archive.where(), ": found an empty list, expected state dicts");
  } else {
    networks.push_back(table_of(archive, state_dict_of(root, archive.where())));
    auto &left_out = networks.back().left_out;
    for (const std::string &name : opaque)
      if (std::find(left_out.begin(), left_out.end(), name) == left_out.end())
        left_out.push_back(name);
  }
  return networks;
}

} // namespace theta
