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
    result_set_ = checked_set(result_, "the result");
    check_counts();
  }

  std::size_t size() const { return terms_.size(); }
  const std::vector<std::string>& terms() const { return terms_; }
  const std::string& result() const { return result_; }
  Set result_set() const { return result_set_; }
  Set indices(std::size_t k) const { return sets_[k]; }
  double extent(Set indices) const {
    double product = 1;
    for (; indices != 0; indices &= indices - 1)
      product *= static_cast<double>(extents_[static_cast<std::size_t>(std::countr_zero(indices))]);
    return product;
  }
  Set set_of(const std::string& letters) const {
    Set set = 0;
    for (const char index : letters) set |= Set{1} << numbers_.at(index);
    return set;
  }
  /// Those of the letters that are in a set.
  std::string part(const std::string& letters, Set set) const {
    std::string text;
    for (const char index : letters)
      if (set >> numbers_.at(index) & 1) text += index;
    return text;
  }
  Shape shape(const std::string& letters) const {
    Shape shape;
    for (const char index : letters) shape.push_back(extents_[numbers_.at(index)]);
    return shape;
  }

 private:
  void add(const std::string& term, const Shape& shape) {
    if (term.size() != shape.size())
      fail("contract: \"", term, "\" of \"", text_, "\" does not fit a tensor of shape ",
           shape_text(shape));
    for (std::size_t i = 0; i < term.size(); ++i) {
      const auto [place, is_new] = numbers_.try_emplace(term[i], extents_.size());
      if (is_new) {
        extents_.push_back(shape[i]);
      } else if (extents_[place->second] != shape[i]) {
        fail("contract: index ", term[i], " of \"", text_, "\" has the extents ",
             extents_[place->second], " and ", shape[i]);
      }
    }
    sets_.push_back(checked_set(term, "a tensor"));
  }

  Set checked_set(const std::string& term, const char* what) const {
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
      if (count == 1 && !(result_set_ & bit) && sets_.size() > 1)
        fail("contract: index ", index, " of \"", text_,
             "\" stands in one tensor only and not in the result");
    }
  }

  std::string_view text_;
  std::vector<std::string> terms_;
  std::string result_;
  std::vector<Set> sets_;
  Set result_set_ = 0;
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

/// A product of two tensors, which are numbered as the network has them, products behind them.
struct Product {
  std::size_t first, second;
  std::size_t first_place, second_place;  ///< in the list of those that are left
  Set set;                                ///< of its indices
};

/// The list of tensors while products replace them.
class Reduction {
 public:
  explicit Reduction(const Network& network) : network_(network) {
    for (std::size_t k = 0; k < network.size(); ++k) {
      sets_.push_back(network.indices(k));
      numbers_.push_back(k);
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

  void merge(std::size_t i, std::size_t j) {
    const Set set = product_set(i, j), members = members_[i] | members_[j];
    products_.push_back({numbers_[i], numbers_[j], i, j, set});
    for (const std::size_t place : {std::max(i, j), std::min(i, j)}) {
      const auto at = static_cast<std::ptrdiff_t>(place);
      sets_.erase(sets_.begin() + at);
      numbers_.erase(numbers_.begin() + at);
      members_.erase(members_.begin() + at);
    }
    sets_.push_back(set);
    numbers_.push_back(network_.size() + products_.size() - 1);
    members_.push_back(members);
  }

  const std::vector<Product>& products() const { return products_; }

 private:
  const Network& network_;
  std::vector<Set> sets_, members_;
  std::vector<std::size_t> numbers_;
  std::vector<Product> products_;
};

/// Which pairs, one after the other.
std::vector<Product> products_of(const Network& network) {
  constexpr std::size_t most_exact = 8;
  Reduction list(network);
  if (network.size() <= most_exact) {
    BestOrder(network).for_each((Set{1} << network.size()) - 1, [&](Set part, Set rest) {
      list.merge(list.find(part), list.find(rest));
    });
    return list.products();
  }
  while (list.size() > 1) {
    std::pair<std::size_t, std::size_t> best{0, 1};
    for (std::size_t j = 1; j < list.size(); ++j)
      for (std::size_t i = 0; i < j; ++i)
        if (list.growth(i, j) < list.growth(best.first, best.second)) best = {i, j};
    list.merge(best.first, best.second);
  }
  return list.products();
}

/// In which order the indices of each product stand. For large products, whose permutation takes
/// longer than looking for a better order, that of a few with which this product and the next one
/// move the fewest elements.
class Orders {
 public:
  Orders(const Network& network, const std::vector<Product>& products)
      : network_(network), products_(products), texts_(network.terms()) {
    for (std::size_t step = 0; step + 1 < products.size(); ++step) texts_.push_back(best(step));
    if (!products.empty()) texts_.push_back(network.result());
  }

  std::string step(std::size_t k) const { return step(k, texts_[network_.size() + k]); }

 private:
  std::string step(std::size_t k, const std::string& result) const {
    return texts_[products_[k].first] + "," + texts_[products_[k].second] + "->" + result;
  }

  /// 10⁶ elements take a millisecond to move, about as long as the search; beyond 10¹⁵ nothing can
  /// be stored, but the order may still be asked for.
  bool worth_a_search(std::size_t step) const {
    const double elements = network_.extent(products_[step].set);
    return elements > 1e6 && elements < 1e15;
  }

  Index moved(std::string_view indices, const std::string& a, const std::string& b) const {
    return plan_contraction(indices, network_.shape(a), network_.shape(b)).moved_elements();
  }

  std::string best(std::size_t step) const {
    const std::size_t number = network_.size() + step;
    std::size_t next = step + 1;
    while (products_[next].first != number && products_[next].second != number) ++next;
    const std::size_t partner =
        products_[next].first == number ? products_[next].second : products_[next].first;
    const bool known = partner < texts_.size();
    const auto orders = candidates(step, next, known ? texts_[partner] : "");
    if (!worth_a_search(step)) return orders.front();
    std::string best;
    Index fewest = 0;
    for (const std::string& order : orders) {
      const Index count = moved(this->step(step, order), texts_[products_[step].first],
                                texts_[products_[step].second]) +
                          (known ? moved_next(order, texts_[partner], next) : 0);
      if (!best.empty() && count >= fewest) continue;
      best = order;
      fewest = count;
    }
    return best;
  }

  /// The orders of the two factors, and those that the next product likes.
  std::vector<std::string> candidates(std::size_t step, std::size_t next,
                                      const std::string& partner) const {
    const Product& product = products_[step];
    const Set both = network_.set_of(texts_[product.second]);
    const std::string first = network_.part(texts_[product.first], product.set);
    const std::string second =
        network_.part(texts_[product.second], product.set & ~network_.set_of(first));
    const std::string shared = network_.part(first, both);  // batch indices
    const std::string own = network_.part(first, ~both);
    std::vector<std::string> result{shared + own + second, shared + second + own};
    for (const std::string& order : std::vector(result)) {
      const std::string kept = network_.part(order, products_[next].set);
      std::string summed = network_.part(order, ~products_[next].set);
      for (int turn = 0; turn < 2; ++turn) {
        result.push_back(kept + summed);
        result.push_back(summed + kept);
        if (partner.empty()) break;
        summed = network_.part(partner, network_.set_of(summed));
      }
    }
    return result;
  }

  /// By the product that reads `order` next, whatever order it writes itself.
  Index moved_next(const std::string& order, const std::string& partner, std::size_t next) const {
    const Set set = products_[next].set, shared = network_.set_of(order) & network_.set_of(partner);
    const std::string batch = network_.part(order, set & shared);
    const std::string own = network_.part(order, set & ~shared);
    const std::string other = network_.part(partner, set & ~shared);
    if (next + 1 == products_.size())
      return moved(order + "," + partner + "->" + network_.result(), order, partner);
    const std::string operands = order + "," + partner + "->" + batch;
    return std::min(moved(operands + own + other, order, partner),
                    moved(operands + other + own, order, partner));
  }

  const Network& network_;
  const std::vector<Product>& products_;
  std::vector<std::string> texts_;
};

}  // namespace

ContractionOrder contraction_order(std::string_view indices, std::span<const Shape> shapes) {
  const Network network(indices, shapes);
  const std::vector<Product> products = products_of(network);
  const Orders orders(network, products);
  ContractionOrder order;
  std::vector<Set> sets;
  for (std::size_t k = 0; k < network.size(); ++k) sets.push_back(network.indices(k));
  for (std::size_t k = 0; k < products.size(); ++k) {
    const Product& product = products[k];
    order.steps.push_back({product.first_place, product.second_place, orders.step(k)});
    order.operations += 2 * network.extent(sets[product.first] | sets[product.second]);
    order.largest_product = std::max(order.largest_product, network.extent(product.set));
    sets.push_back(product.set);
  }
  return order;
}

std::vector<int> permutation_of(std::string_view indices) {
  const std::size_t arrow = indices.find("->");
  if (arrow == std::string_view::npos)
    fail("contract: expected indices like \"ab->ba\", found \"", indices, "\"");
  const std::string_view from = indices.substr(0, arrow), to = indices.substr(arrow + 2);
  if (from.size() != to.size())
    fail("contract: \"", indices, "\" sums over an index of one tensor only");
  std::vector<int> places;
  for (const char index : to) {
    const std::size_t place = from.find(index);
    if (place == std::string_view::npos)
      fail("contract: \"", indices, "\": index '", index, "' of the result is in no operand");
    places.push_back(static_cast<int>(place));
  }
  return places;
}

template <class T>
Tensor<T> contract(std::string_view indices, std::span<const Tensor<T>> tensors) {
  std::vector<Shape> shapes;
  for (const Tensor<T>& tensor : tensors) shapes.push_back(tensor.shape());
  return contract_in_order(indices, contraction_order(indices, shapes),
                           std::vector<Tensor<T>>(tensors.begin(), tensors.end()));
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
