#include "pickle.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
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
  // What nobody here needs to know: a value of that name, or without one.
  Value opaque(std::string name = "") {
    Value v = make(Pickled::Kind::opaque);
    v->text = std::move(name);
    return v;
  }
  // A whole number of n bytes, little-endian, its highest bit the sign.
  Value long_of(std::uint64_t n) {
    const auto part = take(n);
    const auto sign = std::byte(n > 0 && (part[std::size_t(n - 1)] & std::byte(0x80)) != std::byte{} ? 0xff : 0);
    std::uint64_t bits = sign == std::byte{} ? 0 : ~std::uint64_t(0);
    for (std::size_t i = std::size_t(n); i-- > 0;)
      if (i < 8)
        bits = bits << 8 | std::uint64_t(part[i]);
      else if (part[i] != sign)
        return opaque();
    const bool fits = n <= 8 || (std::int64_t(bits) < 0) == (sign != std::byte{});
    return fits ? integer(std::int64_t(bits)) : opaque();
  }
  Value number(double x) {
    Value v = make(Pickled::Kind::number);
    v->number = x;
    return v;
  }
  // The words of protocols 0 and 1: a value written as text.
  Value whole_of(std::string word) {
    if (word.ends_with('L'))
      word.pop_back();
    if (word == "00" || word == "01")
      return boolean(word == "01");
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
    return failed == std::errc() && end == word.data() + word.size() ? integer(value) : opaque();
  }
  Value number_of(const std::string &word) { return number(std::strtod(word.c_str(), nullptr)); }
  Value boolean(bool b) {
    Value v = make(Pickled::Kind::boolean);
    v->integer = b;
    return v;
  }

  void append(Value &to, std::vector<Value> items, Pickled::Kind kind) {
    if (to->kind == Pickled::Kind::opaque)
      return;
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
                                        "collections.defaultdict",
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
      return push(opaque(full));
    Value v = make(Pickled::Kind::global);
    v->text = full;
    push(std::move(v));
  }

  void reduce() {
    const Value arguments = pop(), function = pop();
    if (function->kind == Pickled::Kind::opaque) // nothing is ever called
      return push(opaque(function->text));
    if (function->kind != Pickled::Kind::global || arguments->kind != Pickled::Kind::list)
      wrong("calls what is no function");
    const auto &a = arguments->items;
    if ((function->text == "collections.OrderedDict" && a.empty()) || function->text == "collections.defaultdict")
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
    push(opaque(function->text));
  }

  // ('storage', torch.FloatStorage, key, location, elements)
  void persistent() {
    const Value id = pop();
    const auto &a = id->items;
    if (id->kind != Pickled::Kind::list || a.size() != 5 || a[0]->text != "storage" ||
        (a[1]->kind != Pickled::Kind::global && a[1]->kind != Pickled::Kind::opaque) ||
        a[2]->kind != Pickled::Kind::text || !a[1]->text.ends_with("Storage"))
      wrong("refers to something outside that is no storage");
    Value v = make(Pickled::Kind::storage);
    v->tensor.dtype = a[1]->text.substr(a[1]->text.rfind('.') + 1);
    v->tensor.storage = a[2]->text, v->tensor.elements = whole(a[4]);
    push(std::move(v));
  }

  std::uint64_t place_of(const std::string &word) const {
    std::uint64_t at = 0;
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), at);
    if (failed != std::errc() || end != word.data() + word.size())
      wrong("keeps a value under what is no number");
    return at;
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
      if (const int version = byte(); version > 5)
        wrong("found protocol ", version, ", expected at most 5");
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
    case 0x8a: // LONG1
      return push(long_of(unsigned_of(1)));
    case 0x8b: // LONG4
      return push(long_of(unsigned_of(4)));
    case 'I':
    case 'L':
      return push(whole_of(line()));
    case 'F':
      return push(number_of(line()));
    case 'S':
    case 'V': {
      std::string word = line();
      if (op == 'S' && word.size() >= 2)
        word = word.substr(1, word.size() - 2);
      return push(text(std::move(word)));
    }
    case 'B': // bytes
      take(unsigned_of(4));
      return push(opaque());
    case 'C':
      take(unsigned_of(1));
      return push(opaque());
    case 0x8e:
    case 0x96:
      take(unsigned_of(8));
      return push(opaque());
    case 0x8f: // a set
      return push(opaque("set"));
    case 0x90: { // its items
      pop_mark();
      if (top()->kind != Pickled::Kind::opaque)
        wrong("adds to what is no set");
      return;
    }
    case 0x91:
      pop_mark();
      return push(opaque("frozenset"));
    case 0x81: { // NEWOBJ: a class and its arguments; nothing is made
      pop();
      return push(opaque(pop()->text));
    }
    case 0x92: {
      pop(), pop();
      return push(opaque(pop()->text));
    }
    case 'o': {
      const auto items = pop_mark();
      return push(opaque(items.empty() ? "" : items[0]->text));
    }
    case 'i': {
      const std::string module = line(), name = line();
      pop_mark();
      return push(opaque(module + "." + name));
    }
    case 0x82: // extensions of a registry that is not here
    case 0x83:
    case 0x84:
      take(op == 0x82 ? 1 : op == 0x83 ? 2 : 4);
      return push(opaque());
    case 0x97: // a buffer outside
      return push(opaque());
    case 0x98:
      return;
    case 'G': { // BINFLOAT, big-endian
      std::uint64_t bits = 0;
      for (const std::byte b : take(8))
        bits = bits << 8 | std::uint64_t(b);
      return push(number(std::bit_cast<double>(bits)));
    }
    case 'X':
      return push(text(text_of(unsigned_of(4))));
    case 0x8d:
      return push(text(text_of(unsigned_of(8))));
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
    case 'l':
      return push(list_of(pop_mark()));
    case 'd': {
      Value v = make(Pickled::Kind::dict);
      append(v, pop_mark(), Pickled::Kind::dict);
      return push(std::move(v));
    }
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
    case 'p':
      return remember(place_of(line()));
    case 'g':
      return recall(place_of(line()));
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
    case '1':
      pop_mark();
      return;
    case '2':
      return push(top());
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
    case 'b': // BUILD: attributes, of an OrderedDict (its _metadata) or of what is opaque, are of no use here
      pop(), top();
      return;
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
