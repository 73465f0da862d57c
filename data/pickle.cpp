#include "pickle.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>

namespace theta {

namespace {

using Value = std::shared_ptr<Pickled>;
constexpr std::size_t most_values = 10'000'000, most_depth = 100;

class Machine {
public:
  Machine(std::span<const std::byte> bytes, const std::string &where) : bytes_(bytes), where_(where) {}

  Value run() {
    for (;;) {
      const int op = byte();
      if (op == '.')
        return pop();
      execute(op);
    }
  }

private:
  template <class... A> [[noreturn]] void wrong(const A &...what) const {
    throw InputError(where_, ": ", what..., " at byte ", at_, " of its pickle");
  }

  std::span<const std::byte> take(std::uint64_t n) {
    if (n > bytes_.size() - at_)
      wrong("ends too early");
    const auto part = bytes_.subspan(at_, std::size_t(n));
    at_ += std::size_t(n);
    return part;
  }
  int byte() { return int(take(1)[0]); }
  std::uint64_t unsigned_of(int n) { // little-endian
    std::uint64_t value = 0;
    const auto part = take(std::uint64_t(n));
    for (int i = n; i-- > 0;)
      value = value << 8 | std::uint64_t(part[std::size_t(i)]);
    return value;
  }
  std::string text_of(std::uint64_t n) {
    const auto part = take(n);
    return {reinterpret_cast<const char *>(part.data()), part.size()};
  }
  std::string line() {
    std::string out;
    for (int c; (c = byte()) != '\n';)
      out += char(c);
    return out;
  }

  Value make(Pickled::Kind kind) {
    if (++made_ > most_values)
      wrong("found more than ", most_values, " values");
    auto value = std::make_shared<Pickled>();
    value->kind = kind;
    return value;
  }
  void push(Value v) { stack_.push_back(std::move(v)); }
  Value pop() {
    if (stack_.empty() || (!marks_.empty() && marks_.back() == stack_.size()))
      wrong("takes from an empty stack");
    Value v = std::move(stack_.back());
    stack_.pop_back();
    return v;
  }
  Value &top() {
    if (stack_.empty())
      wrong("looks at an empty stack");
    return stack_.back();
  }
  std::vector<Value> pop_mark() {
    if (marks_.empty())
      wrong("closes what was not opened");
    const auto from = stack_.begin() + std::ptrdiff_t(marks_.back());
    std::vector<Value> items(std::make_move_iterator(from), std::make_move_iterator(stack_.end()));
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }
  Value list_of(std::vector<Value> items) {
    Value v = make(Pickled::Kind::list);
    append(v, std::move(items), Pickled::Kind::list);
    return v;
  }
  Value text(std::string s) {
    Value v = make(Pickled::Kind::text);
    v->text = std::move(s);
    return v;
  }
  Value integer(std::int64_t i) {
    Value v = make(Pickled::Kind::integer);
    v->integer = i;
    return v;
  }
  Value boolean(bool b) {
    Value v = make(Pickled::Kind::boolean);
    v->integer = b;
    return v;
  }

  void append(Value &to, std::vector<Value> items, Pickled::Kind kind) {
    if (to->kind != kind || (kind == Pickled::Kind::dict && items.size() % 2 != 0))
      wrong("adds to what takes no items");
    if (to->is_held)
      wrong("changes a value that another holds");
    for (Value &item : items) {
      if (item == to)
        wrong("found a value that holds itself");
      item->is_held = true;
      to->depth = std::max(to->depth, item->depth + 1);
      if (to->depth > int(most_depth))
        wrong("is nested deeper than ", most_depth);
      to->items.push_back(std::move(item));
    }
  }

  std::int64_t whole(const Value &v) const {
    if (v->kind != Pickled::Kind::integer)
      wrong("found a value that is no whole number");
    return v->integer;
  }
  std::vector<std::int64_t> wholes(const Value &v) const {
    if (v->kind != Pickled::Kind::list)
      wrong("found a value that is no tuple of sizes");
    std::vector<std::int64_t> all;
    for (const Value &item : v->items)
      all.push_back(whole(item));
    return all;
  }

  void global(const std::string &module, const std::string &name) {
    static const char *const known[] = {"collections.OrderedDict",
                                        "torch._utils._rebuild_tensor_v2",
                                        "torch._utils._rebuild_parameter",
                                        "torch.Size",
                                        "torch.FloatStorage",
                                        "torch.DoubleStorage",
                                        "torch.HalfStorage",
                                        "torch.BFloat16Storage",
                                        "torch.LongStorage",
                                        "torch.IntStorage",
                                        "torch.ShortStorage",
                                        "torch.CharStorage",
                                        "torch.ByteStorage",
                                        "torch.BoolStorage"};
    const std::string full = module + "." + name;
    if (std::find(std::begin(known), std::end(known), full) == std::end(known))
      wrong("asks for '", full,
            "', expected a state dict: tensors, dicts, lists, numbers and texts; save it with "
            "torch.save(model.state_dict(), ...)");
    Value v = make(Pickled::Kind::global);
    v->text = full;
    push(std::move(v));
  }

  void reduce() {
    const Value arguments = pop(), function = pop();
    if (function->kind != Pickled::Kind::global || arguments->kind != Pickled::Kind::list)
      wrong("calls what is no function");
    const auto &a = arguments->items;
    if (function->text == "collections.OrderedDict" && a.empty())
      return push(make(Pickled::Kind::dict));
    if (function->text == "torch.Size" && a.size() == 1)
      return push(a[0]);
    if (function->text == "torch._utils._rebuild_parameter" && !a.empty() && a[0]->kind == Pickled::Kind::tensor)
      return push(a[0]);
    if (function->text == "torch._utils._rebuild_tensor_v2" && a.size() >= 4 && a[0]->kind == Pickled::Kind::storage) {
      Value v = make(Pickled::Kind::tensor);
      v->tensor = a[0]->tensor;
      v->tensor.offset = whole(a[1]), v->tensor.shape = wholes(a[2]), v->tensor.stride = wholes(a[3]);
      if (v->tensor.shape.size() != v->tensor.stride.size())
        wrong("found a tensor of ", v->tensor.shape.size(), " sides and ", v->tensor.stride.size(), " strides");
      return push(std::move(v));
    }
    wrong("calls ", function->text, " with ", a.size(), " arguments that it does not take");
  }

  // ('storage', torch.FloatStorage, key, location, elements)
  void persistent() {
    const Value id = pop();
    const auto &a = id->items;
    if (id->kind != Pickled::Kind::list || a.size() != 5 || a[0]->text != "storage" ||
        a[1]->kind != Pickled::Kind::global || a[2]->kind != Pickled::Kind::text || !a[1]->text.ends_with("Storage"))
      wrong("refers to something outside that is no storage");
    Value v = make(Pickled::Kind::storage);
    v->tensor.dtype = a[1]->text.substr(a[1]->text.find('.') + 1);
    v->tensor.storage = a[2]->text, v->tensor.elements = whole(a[4]);
    push(std::move(v));
  }

  void remember(std::uint64_t at) { memo_[at] = top(); }
  void recall(std::uint64_t at) {
    const auto found = memo_.find(at);
    if (found == memo_.end())
      wrong("recalls what it has not kept");
    push(found->second);
  }

  void execute(int op) {
    switch (op) {
    case 0x80: // PROTO
      if (const int version = byte(); version < 2 || version > 5)
        wrong("found protocol ", version, ", expected 2 to 5");
      return;
    case 0x95: // FRAME
      take(8);
      return;
    case '}':
      return push(make(Pickled::Kind::dict));
    case ']':
    case ')':
      return push(make(Pickled::Kind::list));
    case '(':
      if (marks_.size() == most_depth)
        wrong("is nested deeper than ", most_depth);
      return marks_.push_back(stack_.size());
    case 'N':
      return push(make(Pickled::Kind::none));
    case 0x88:
    case 0x89:
      return push(boolean(op == 0x88));
    case 'K':
      return push(integer(std::int64_t(unsigned_of(1))));
    case 'M':
      return push(integer(std::int64_t(unsigned_of(2))));
    case 'J':
      return push(integer(std::int32_t(unsigned_of(4))));
    case 0x8a: { // LONG1
      const auto n = int(unsigned_of(1));
      if (n > 8)
        wrong("found a whole number of ", n, " bytes");
      const std::uint64_t bits = n > 0 ? unsigned_of(n) : 0;
      const int shift = 64 - 8 * std::max(1, n);
      return push(integer(n > 0 ? std::int64_t(bits << shift) >> shift : 0));
    }
    case 'G': { // BINFLOAT, big-endian
      std::uint64_t bits = 0;
      for (const std::byte b : take(8))
        bits = bits << 8 | std::uint64_t(b);
      Value v = make(Pickled::Kind::number);
      v->number = std::bit_cast<double>(bits);
      return push(std::move(v));
    }
    case 'X':
      return push(text(text_of(unsigned_of(4))));
    case 0x8c:
    case 'U':
      return push(text(text_of(unsigned_of(1))));
    case 'T':
      return push(text(text_of(unsigned_of(4))));
    case 0x85:
    case 0x86:
    case 0x87: {
      std::vector<Value> items;
      for (int i = 0; i < op - 0x84; ++i)
        items.insert(items.begin(), pop());
      return push(list_of(std::move(items)));
    }
    case 't':
      return push(list_of(pop_mark()));
    case 'a': {
      std::vector<Value> one{pop()};
      return append(top(), std::move(one), Pickled::Kind::list);
    }
    case 'e': {
      auto items = pop_mark();
      return append(top(), std::move(items), Pickled::Kind::list);
    }
    case 's': {
      Value value = pop(), key = pop();
      return append(top(), {std::move(key), std::move(value)}, Pickled::Kind::dict);
    }
    case 'u': {
      auto items = pop_mark();
      return append(top(), std::move(items), Pickled::Kind::dict);
    }
    case 'q':
      return remember(unsigned_of(1));
    case 'r':
      return remember(unsigned_of(4));
    case 0x94: // MEMOIZE
      return remember(memo_.size());
    case 'h':
      return recall(unsigned_of(1));
    case 'j':
      return recall(unsigned_of(4));
    case '0':
      pop();
      return;
    case 'c': {
      const std::string module = line(), name = line();
      return global(module, name);
    }
    case 0x93: { // STACK_GLOBAL
      const Value name = pop(), module = pop();
      if (name->kind != Pickled::Kind::text || module->kind != Pickled::Kind::text)
        wrong("names a global by what is no text");
      return global(module->text, name->text);
    }
    case 'R':
      return reduce();
    case 'Q':
      return persistent();
    case 'b': { // BUILD: attributes of an OrderedDict (its _metadata) are of no use here
      pop();
      if (top()->kind != Pickled::Kind::dict)
        wrong("sets attributes of what is no dict");
      return;
    }
    default:
      wrong("found opcode ", op, ", which no state dict needs,");
    }
  }

  std::span<const std::byte> bytes_;
  const std::string &where_;
  std::size_t at_ = 0, made_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Value> memo_;
};

} // namespace

std::shared_ptr<Pickled> unpickled(std::span<const std::byte> bytes, const std::string &where) {
  return Machine(bytes, where).run();
}

} // namespace theta
