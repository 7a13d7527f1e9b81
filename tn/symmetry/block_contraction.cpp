#include <metatt/tn/contraction_order.hpp>
#include <metatt/tn/symmetry/block_tensor.hpp>

#include <algorithm>

namespace metatt::tn {

namespace {

/// Where the indices of "ab,bc->ac" stand.
struct BlockContraction {
  std::string a, b, result;
  std::vector<std::size_t> shared_a, shared_b;        ///< places of what is summed over
  std::vector<std::pair<bool, std::size_t>> sources;  ///< of result: from a?, place

  explicit BlockContraction(std::string_view indices) {
    const std::size_t comma = indices.find(','), arrow = indices.find("->");
    if (comma == std::string_view::npos || arrow == std::string_view::npos || arrow < comma)
      fail("contract: expected indices like \"ab,bc->ac\", found \"", indices, "\"");
    a = indices.substr(0, comma);
    b = indices.substr(comma + 1, arrow - comma - 1);
    result = indices.substr(arrow + 2);
    for (const char index : result) {
      const std::size_t in_a = a.find(index), in_b = b.find(index);
      if ((in_a == std::string::npos) == (in_b == std::string::npos))
        fail("contract: index ", index, " of the result of \"", indices,
             "\" must stand in exactly one of the block tensors");
      sources.emplace_back(in_a != std::string::npos, std::min(in_a, in_b));
    }
    for (std::size_t k = 0; k < a.size(); ++k)
      if (const std::size_t place = b.find(a[k]); place != std::string::npos) {
        shared_a.push_back(k);
        shared_b.push_back(place);
      }
  }

  template <class T>
  void check_legs(std::string_view indices, const BlockTensor<T>& x,
                  const BlockTensor<T>& y) const {
    if (a.size() != x.legs().size() || b.size() != y.legs().size())
      fail("contract: \"", indices, "\" does not fit tensors of ", x.order(), " and ", y.order(),
           " legs");
    for (std::size_t k = 0; k < shared_a.size(); ++k) {
      const Leg &left = x.legs()[shared_a[k]], &right = y.legs()[shared_b[k]];
      if (!left.matches(right))
        fail("contract: index ", a[shared_a[k]], " of \"", indices, "\" joins the legs (",
             leg_text(left), ") and (", leg_text(right), ")");
    }
  }

  BlockKey result_key(const BlockKey& of_a, const BlockKey& of_b) const {
    BlockKey key;
    for (const auto& [from_a, place] : sources) key.push_back((from_a ? of_a : of_b)[place]);
    return key;
  }
};

/// The largest block that there could be: for all blocks one plan is made, that for this one.
template <class T>
Shape largest_sectors(const BlockTensor<T>& x) {
  Shape shape;
  for (const Leg& leg : x.legs()) {
    Index largest = 0;
    for (Index s = 0; s < leg.sector_count(); ++s)
      largest = std::max(largest, leg.sector(s).dimension);
    shape.push_back(largest);
  }
  return shape;
}

/// The extents of a block, without those of legs that have one everywhere, which plans leave out.
Shape planned_shape(const Shape& block, const Shape& largest) {
  Shape shape;
  for (std::size_t k = 0; k < block.size(); ++k)
    if (largest[k] != 1) shape.push_back(block[k]);
  return shape;
}

/// A block as the matrix that gemm reads.
template <class T>
struct Operand {
  BlockKey key, shared;  ///< the sectors of all legs, and of those that are summed over
  Index inner;           ///< the product of the extents of the latter
  Tensor<T> matrix;
};

/// All blocks of an operand, permuted once and not for each partner.
template <class T>
std::vector<Operand<T>> operands(const BlockTensor<T>& x, const MatrixLayout& layout,
                                 const std::vector<std::size_t>& shared) {
  const Shape largest = largest_sectors(x);
  std::vector<Operand<T>> result;
  for (const auto& [key, block] : x.blocks()) {
    const Tensor<T> planned = block.reshaped(planned_shape(block.shape(), largest));
    Operand<T> operand{key, {}, 1, layout.order.empty() ? planned : permute(planned, layout.order)};
    for (const std::size_t place : shared) {
      operand.shared.push_back(key[place]);
      operand.inner *= block.shape()[place];
    }
    result.push_back(std::move(operand));
  }
  return result;
}

/// A block of the result as gemm writes it, from the pairs of operands that it is the sum of.
template <class T>
struct Sum {
  std::vector<std::pair<const Operand<T>*, const Operand<T>*>> pairs;
  Tensor<T> product;  ///< before the permutation of the plan
};

/// The shape from which the permutation of a layout leads to `to`.
Shape unpermuted(const Shape& to, const std::vector<int>& order) {
  if (order.empty()) return to;
  Shape from(to.size());
  for (std::size_t k = 0; k < to.size(); ++k) from[static_cast<std::size_t>(order[k])] = to[k];
  return from;
}

template <class T>
void append_terms(const ContractionPlan& plan, const Sum<T>& sum, T* target,
                  std::vector<GemmTerm<T>>& terms) {
  for (const auto& [a, b] : sum.pairs) {
    const Tensor<T>& left = plan.swapped ? b->matrix : a->matrix;
    const Tensor<T>& right = plan.swapped ? a->matrix : b->matrix;
    const MatrixLayout& first = plan.swapped ? plan.b : plan.a;
    const MatrixLayout& second = plan.swapped ? plan.a : plan.b;
    const Index inner = a->inner, rows = left.size() / inner, columns = right.size() / inner;
    terms.push_back({rows, columns, inner, left.data(),
                     first.transpose == Transpose::no ? inner : rows, right.data(),
                     second.transpose == Transpose::no ? columns : inner, target, columns});
  }
}

}  // namespace

template <class T>
BlockTensor<T> contract(std::string_view indices, const BlockTensor<T>& a,
                        const BlockTensor<T>& b) {
  const BlockContraction roles(indices);
  roles.check_legs(indices, a, b);
  const ContractionPlan plan = plan_contraction(indices, largest_sectors(a), largest_sectors(b));
  std::vector<Leg> legs;
  for (const auto& [from_a, place] : roles.sources) legs.push_back((from_a ? a : b).legs()[place]);
  BlockTensor<T> result(std::move(legs));

  const std::vector<Operand<T>> left = operands(a, plan.a, roles.shared_a),
                                right = operands(b, plan.b, roles.shared_b);
  std::map<BlockKey, std::vector<const Operand<T>*>> partners;
  for (const Operand<T>& operand : right) partners[operand.shared].push_back(&operand);
  std::map<BlockKey, Sum<T>> sums;
  for (const Operand<T>& operand : left)
    if (const auto found = partners.find(operand.shared); found != partners.end())
      for (const Operand<T>* partner : found->second)
        sums[roles.result_key(operand.key, partner->key)].pairs.emplace_back(&operand, partner);

  const Shape largest = largest_sectors(result);
  std::vector<GemmTerm<T>> terms;
  for (auto& [key, sum] : sums) {
    const Shape planned = planned_shape(result.block_shape(key), largest);
    sum.product = Tensor<T>(unpermuted(planned, plan.product.order));
    append_terms(plan, sum, sum.product.mutable_data(), terms);
  }
  backend::gemm_sums<T>(backend::queue(), plan.swapped ? plan.b.transpose : plan.a.transpose,
                        plan.swapped ? plan.a.transpose : plan.b.transpose, terms);
  for (auto& [key, sum] : sums) {
    const std::vector<int>& order = plan.product.order;
    const Tensor<T> product = order.empty() ? std::move(sum.product) : permute(sum.product, order);
    result.set_block(key, product.reshaped(result.block_shape(key)));
  }
  return result;
}

template <class T>
BlockTensor<T> contract(std::string_view indices, std::span<const BlockTensor<T>> tensors) {
  std::vector<Shape> shapes;
  for (const BlockTensor<T>& tensor : tensors) shapes.push_back(tensor.shape());
  return contract_in_order(indices, contraction_order(indices, shapes),
                           std::vector<BlockTensor<T>>(tensors.begin(), tensors.end()));
}

template <class T>
BlockTensor<T> trace(const BlockTensor<T>& x, int first, int second) {
  const int low = std::min(first, second), high = std::max(first, second);
  if (low == high || low < 0 || high >= x.order() || !x.leg(low).matches(x.leg(high)))
    fail("trace: expected two legs that match, found ", first, " and ", second, " of ", x.order());
  const auto others = [low, high](auto list) {
    list.erase(list.begin() + high);
    list.erase(list.begin() + low);
    return list;
  };
  BlockTensor<T> result(others(x.legs()));
  for (const auto& [key, block] : x.blocks()) {
    if (key[static_cast<std::size_t>(low)] != key[static_cast<std::size_t>(high)]) continue;
    const Tensor<T> part = trace(block, low, high);
    backend::add_scaled(backend::queue(), part.size(), T(1), part.data(),
                        result.writable_block(others(key)).mutable_data());
  }
  return result;
}

#define METATT_BLOCK_CONTRACTION(T)                                                    \
  template BlockTensor<T> contract(std::string_view, std::span<const BlockTensor<T>>); \
  template BlockTensor<T> trace(const BlockTensor<T>&, int, int);                      \
  template BlockTensor<T> contract(std::string_view, const BlockTensor<T>&, const BlockTensor<T>&);
METATT_BLOCK_CONTRACTION(float)
METATT_BLOCK_CONTRACTION(double)
METATT_BLOCK_CONTRACTION(std::complex<float>)
METATT_BLOCK_CONTRACTION(std::complex<double>)
#undef METATT_BLOCK_CONTRACTION

}  // namespace metatt::tn
