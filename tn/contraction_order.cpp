#include <metatt/tn/contraction_order.hpp>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>

namespace metatt::tn {

namespace {

/// A set of indices, or of tensors, as bits.
using Set = std::uint64_t;

/// The indices of all tensors and of the result.
class Network {
 public:
  Network(std::string_view text, std::span<const Shape> shapes) : text_(text) {
    const std::size_t arrow = text.find("->");
    if (arrow == std::string_view::npos)
      fail("contract: expected indices like \"ab,bc->ac\", found \"", text, "\"");
    std::string_view operands = text.substr(0, arrow);
    while (true) {
      const std::size_t comma = operands.find(',');
      terms_.emplace_back(operands.substr(0, comma));
      if (comma == std::string_view::npos) break;
      operands.remove_prefix(comma + 1);
    }
    result_ = text.substr(arrow + 2);
    if (terms_.size() != shapes.size())
      fail("contract: \"", text, "\" names ", terms_.size(), " tensors, found ", shapes.size());
    for (std::size_t k = 0; k < terms_.size(); ++k) add(terms_[k], shapes[k]);
    sets_of_result_ = set_of(result_, "the result");
    check_counts();
  }

  std::size_t size() const { return terms_.size(); }
  const std::vector<std::string>& terms() const { return terms_; }
  const std::string& result() const { return result_; }
  Set result_set() const { return sets_of_result_; }
  Set indices(std::size_t k) const { return sets_[k]; }
  double extent(Set indices) const {
    double product = 1;
    for (; indices != 0; indices &= indices - 1)
      product *= static_cast<double>(extents_[static_cast<std::size_t>(std::countr_zero(indices))]);
    return product;
  }
  std::string letters(Set indices) const {
    std::string text;
    for (; indices != 0; indices &= indices - 1)
      text += letters_[static_cast<std::size_t>(std::countr_zero(indices))];
    return text;
  }

 private:
  void add(const std::string& term, const Shape& shape) {
    if (term.size() != shape.size())
      fail("contract: \"", term, "\" of \"", text_, "\" does not fit a tensor of shape ",
           shape_text(shape));
    for (std::size_t i = 0; i < term.size(); ++i) {
      const auto [place, is_new] = numbers_.try_emplace(term[i], letters_.size());
      if (is_new) {
        letters_ += term[i];
        extents_.push_back(shape[i]);
      } else if (extents_[place->second] != shape[i]) {
        fail("contract: index ", term[i], " of \"", text_, "\" has the extents ",
             extents_[place->second], " and ", shape[i]);
      }
    }
    sets_.push_back(set_of(term, "a tensor"));
  }

  Set set_of(const std::string& term, const char* what) const {
    Set set = 0;
    for (const char index : term) {
      const auto place = numbers_.find(index);
      if (place == numbers_.end())
        fail("contract: index ", index, " of the result of \"", text_, "\" stands in no tensor");
      const Set bit = Set{1} << place->second;
      if (set & bit)
        fail("contract: index ", index, " stands twice in ", what, " of \"", text_, "\"");
      set |= bit;
    }
    return set;
  }

  void check_counts() const {
    for (const auto& [index, number] : numbers_) {
      const Set bit = Set{1} << number;
      const auto count = std::ranges::count_if(sets_, [&](Set set) { return (set & bit) != 0; });
      if (count == 1 && !(sets_of_result_ & bit) && sets_.size() > 1)
        fail("contract: index ", index, " of \"", text_,
             "\" stands in one tensor only and not in the result");
    }
  }

  std::string_view text_;
  std::vector<std::string> terms_;
  std::string result_, letters_;
  std::vector<Set> sets_;
  Set sets_of_result_ = 0;
  std::map<char, std::size_t> numbers_;
  std::vector<Index> extents_;
};

/// Which pairs of subsets make the product of all tensors with the fewest multiplications.
class BestOrder {
 public:
  explicit BestOrder(const Network& network) : network_(network) {
    const Set all = (Set{1} << network.size()) - 1;
    costs_.assign(all + 1, std::numeric_limits<double>::infinity());
    splits_.assign(all + 1, 0);
    for (Set subset = 1; subset <= all; ++subset) {
      if (std::has_single_bit(subset)) {
        costs_[subset] = 0;
        continue;
      }
      for (Set part = (subset - 1) & subset; part > (subset ^ part); part = (part - 1) & subset) {
        const Set rest = subset ^ part;
        const double cost =
            costs_[part] + costs_[rest] + network.extent(open_indices(part) | open_indices(rest));
        if (cost >= costs_[subset]) continue;
        costs_[subset] = cost;
        splits_[subset] = part;
      }
    }
  }

  /// Calls merge(part, rest) for every product, inner ones first.
  template <class Merge>
  void for_each(Set subset, const Merge& merge) const {
    if (std::has_single_bit(subset)) return;
    const Set part = splits_[subset], rest = subset ^ part;
    for_each(part, merge);
    for_each(rest, merge);
    merge(part, rest);
  }

 private:
  /// Of the product of a subset: those that other tensors or the result have too.
  Set open_indices(Set subset) const {
    Set inside = 0, outside = network_.result_set();
    for (std::size_t k = 0; k < network_.size(); ++k)
      (subset >> k & 1 ? inside : outside) |= network_.indices(k);
    return inside & outside;
  }

  const Network& network_;
  std::vector<double> costs_;
  std::vector<Set> splits_;
};

/// The list of tensors while products replace them.
class Reduction {
 public:
  explicit Reduction(const Network& network) : network_(network) {
    for (std::size_t k = 0; k < network.size(); ++k) {
      sets_.push_back(network.indices(k));
      texts_.push_back(network.terms()[k]);
      // Short networks alone are looked up by their members.
      members_.push_back(k < 64 ? Set{1} << k : 0);
    }
  }

  std::size_t size() const { return sets_.size(); }
  std::size_t find(Set members) const {
    return static_cast<std::size_t>(std::ranges::find(members_, members) - members_.begin());
  }
  Set product_set(std::size_t i, std::size_t j) const {
    Set outside = network_.result_set();
    for (std::size_t k = 0; k < sets_.size(); ++k)
      if (k != i && k != j) outside |= sets_[k];
    return (sets_[i] | sets_[j]) & outside;
  }
  /// By how much the product is larger than the two tensors.
  double growth(std::size_t i, std::size_t j) const {
    return network_.extent(product_set(i, j)) - network_.extent(sets_[i]) -
           network_.extent(sets_[j]);
  }

  void merge(std::size_t i, std::size_t j, ContractionOrder& order) {
    const Set set = product_set(i, j), members = members_[i] | members_[j];
    const std::string text = size() == 2 ? network_.result() : network_.letters(set);
    order.steps.push_back({i, j, texts_[i] + "," + texts_[j] + "->" + text});
    order.operations += 2 * network_.extent(sets_[i] | sets_[j]);
    order.largest_product = std::max(order.largest_product, network_.extent(set));
    for (const std::size_t place : {std::max(i, j), std::min(i, j)}) {
      const auto at = static_cast<std::ptrdiff_t>(place);
      sets_.erase(sets_.begin() + at);
      texts_.erase(texts_.begin() + at);
      members_.erase(members_.begin() + at);
    }
    sets_.push_back(set);
    texts_.push_back(text);
    members_.push_back(members);
  }

 private:
  const Network& network_;
  std::vector<Set> sets_, members_;
  std::vector<std::string> texts_;
};

}  // namespace

ContractionOrder contraction_order(std::string_view indices, std::span<const Shape> shapes) {
  constexpr std::size_t most_exact = 8;
  const Network network(indices, shapes);
  Reduction list(network);
  ContractionOrder order;
  if (network.size() <= most_exact) {
    BestOrder(network).for_each((Set{1} << network.size()) - 1, [&](Set part, Set rest) {
      list.merge(list.find(part), list.find(rest), order);
    });
    return order;
  }
  while (list.size() > 1) {
    std::pair<std::size_t, std::size_t> best{0, 1};
    for (std::size_t j = 1; j < list.size(); ++j)
      for (std::size_t i = 0; i < j; ++i)
        if (list.growth(i, j) < list.growth(best.first, best.second)) best = {i, j};
    list.merge(best.first, best.second, order);
  }
  return order;
}

template <class T>
Tensor<T> contract(std::string_view indices, std::span<const Tensor<T>> tensors) {
  if (tensors.empty()) fail("contract: expected at least one tensor, found none");
  std::vector<Shape> shapes;
  for (const Tensor<T>& tensor : tensors) shapes.push_back(tensor.shape());
  const ContractionOrder order = contraction_order(indices, shapes);
  std::vector<Tensor<T>> list(tensors.begin(), tensors.end());
  for (const auto& step : order.steps) {
    Tensor<T> product = contract(step.indices, list[step.first], list[step.second]);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(std::max(step.first, step.second)));
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(std::min(step.first, step.second)));
    list.push_back(std::move(product));
  }
  if (tensors.size() > 1) return list.front();
  // One tensor: its modes in another order.
  const std::size_t arrow = indices.find("->");
  const std::string_view from = indices.substr(0, arrow), to = indices.substr(arrow + 2);
  if (from.size() != to.size())
    fail("contract: \"", indices, "\" sums over an index of one tensor only");
  std::vector<int> places;
  for (const char index : to) places.push_back(static_cast<int>(from.find(index)));
  return permute(list.front(), places);
}

template <class T>
Tensor<T> trace(const Tensor<T>& tensor, int first, int second) {
  const int order = tensor.order();
  if (first == second || std::min(first, second) < 0 || std::max(first, second) >= order ||
      tensor.extent(first) != tensor.extent(second))
    fail("trace: expected two modes of equal extent, found ", first, " and ", second, " of ",
         shape_text(tensor.shape()));
  const Index n = tensor.extent(first);
  const std::vector<int> modes{first, second}, both{0, 1};
  return contract(tensor, std::span<const int>(modes), identity<T>(n, n),
                  std::span<const int>(both));
}

#define METATT_CONTRACTION_ORDER(T)                                          \
  template Tensor<T> contract(std::string_view, std::span<const Tensor<T>>); \
  template Tensor<T> trace(const Tensor<T>&, int, int);
METATT_CONTRACTION_ORDER(float)
METATT_CONTRACTION_ORDER(double)
METATT_CONTRACTION_ORDER(std::complex<float>)
METATT_CONTRACTION_ORDER(std::complex<double>)
#undef METATT_CONTRACTION_ORDER

}  // namespace metatt::tn
