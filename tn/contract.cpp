#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <array>
#include <complex>
#include <optional>
#include <string>

namespace metatt::tn {
namespace {

/// The three index lists of "ab,bc->ac", and the extent of each letter.
struct Indices {
  std::string a, b, result;
  std::array<Index, 128> extents{};

  Index extent(char label) const { return extents[static_cast<unsigned char>(label)]; }
  Index size(const std::string& labels) const {
    Index product = 1;
    for (char label : labels) {
      if (extent(label) == 0) return 0;  // the others may be of any size then
      product *= extent(label);
    }
    return product;
  }
  Shape shape(const std::string& labels) const {
    Shape shape;
    for (char label : labels) shape.push_back(extent(label));
    return shape;
  }
};

bool contains(const std::string& labels, char label) {
  return labels.find(label) != std::string::npos;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void check_labels(std::string_view indices, const std::string& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!is_letter(labels[i]))
      fail("contract: \"", indices, "\": indices must be letters, found '", labels[i], "'");
    if (labels.find(labels[i], i + 1) != std::string::npos)
      fail("contract: \"", indices, "\": index '", labels[i], "' occurs twice in one tensor");
  }
}

void read_extents(Indices& parsed, std::string_view indices, const std::string& labels,
                  std::span<const Index> shape) {
  if (labels.size() != shape.size())
    fail("contract: \"", indices, "\": \"", labels, "\" names ", labels.size(),
         " modes, found a tensor of ", shape_text(shape));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Index& extent = parsed.extents[static_cast<unsigned char>(labels[i])];
    if (contains(parsed.a, labels[i]) && &labels != &parsed.a && extent != shape[i])
      fail("contract: \"", indices, "\": index '", labels[i], "' has extent ", extent,
           " in the first operand and ", shape[i], " in the second");
    extent = shape[i];
  }
}

Indices parse(std::string_view indices, std::span<const Index> shape_a,
              std::span<const Index> shape_b) {
  const std::size_t comma = indices.find(',');
  const std::size_t arrow = indices.find("->");
  if (comma == std::string_view::npos || arrow == std::string_view::npos || arrow < comma)
    fail("contract: expected indices like \"ij,jk->ik\", found \"", indices, "\"");
  Indices parsed;
  parsed.a = indices.substr(0, comma);
  parsed.b = indices.substr(comma + 1, arrow - comma - 1);
  parsed.result = indices.substr(arrow + 2);
  for (const std::string* labels : {&parsed.a, &parsed.b, &parsed.result})
    check_labels(indices, *labels);
  read_extents(parsed, indices, parsed.a, shape_a);
  read_extents(parsed, indices, parsed.b, shape_b);
  for (char label : parsed.result)
    if (!contains(parsed.a, label) && !contains(parsed.b, label))
      fail("contract: \"", indices, "\": index '", label, "' of the result is in no operand");
  for (char label : parsed.a + parsed.b)
    if (contains(parsed.a, label) + contains(parsed.b, label) + contains(parsed.result, label) < 2)
      fail("contract: \"", indices, "\": index '", label,
           "' stands in one operand only; it must also be in the other one or in the result");
  return parsed;
}

/// The labels that stand in exactly those of the three tensors, in the order in which `source` has
/// them. Labels of extent one take part in no layout and are left out.
std::string group(const Indices& indices, const std::string& source, bool in_a, bool in_b,
                  bool in_result) {
  std::string labels;
  for (char label : source)
    if (indices.extent(label) != 1 && contains(indices.a, label) == in_a &&
        contains(indices.b, label) == in_b && contains(indices.result, label) == in_result)
      labels += label;
  return labels;
}

std::string without_units(const Indices& indices, const std::string& labels) {
  std::string kept;
  for (char label : labels)
    if (indices.extent(label) != 1) kept += label;
  return kept;
}

/// `stored` as a batch of row × column matrices that gemm can read in place, if it is one: the
/// batch may stand outside or between rows and columns, and the matrices may be transposed.
std::optional<MatrixLayout> in_place(const Indices& indices, const std::string& stored,
                                     const std::string& batch, const std::string& rows,
                                     const std::string& columns) {
  for (const bool transposed : {false, true}) {
    const std::string& outer = transposed ? columns : rows;
    const std::string& inner = transposed ? rows : columns;
    const bool batch_outside = stored == batch + outer + inner;
    if (!batch_outside && stored != outer + batch + inner) continue;
    MatrixLayout layout;
    layout.shape = indices.shape(stored);
    layout.transpose = transposed ? Transpose::yes : Transpose::no;
    layout.leading_dimension = indices.size(inner) * (batch_outside ? 1 : indices.size(batch));
    layout.batch_stride = indices.size(inner) * (batch_outside ? indices.size(outer) : 1);
    return layout;
  }
  return std::nullopt;
}

std::vector<int> permutation(const std::string& from, const std::string& to) {
  std::vector<int> order;
  for (char label : to) order.push_back(static_cast<int>(from.find(label)));
  return order;
}

/// In place if possible, else permuted to (batch, rows, columns).
MatrixLayout operand_layout(const Indices& indices, const std::string& stored,
                            const std::string& batch, const std::string& rows,
                            const std::string& columns) {
  if (const auto layout = in_place(indices, stored, batch, rows, columns)) return *layout;
  MatrixLayout layout = *in_place(indices, batch + rows + columns, batch, rows, columns);
  layout.shape = indices.shape(stored);
  layout.order = permutation(stored, batch + rows + columns);
  return layout;
}

/// One choice for the order of the labels inside each group.
struct Groups {
  std::string batch, contracted, free_a, free_b;
};

ContractionPlan plan_with(const Indices& indices, const Groups& groups) {
  const auto& [batch, contracted, free_a, free_b] = groups;
  const std::string result = without_units(indices, indices.result);
  ContractionPlan plan;
  plan.result_shape = indices.shape(indices.result);
  plan.batch = indices.size(batch);
  plan.inner = indices.size(contracted);
  auto product = in_place(indices, result, batch, free_a, free_b);
  plan.swapped = product && product->transpose == Transpose::yes;
  plan.rows = indices.size(plan.swapped ? free_b : free_a);
  plan.columns = indices.size(plan.swapped ? free_a : free_b);
  if (product) {
    plan.product = *product;
    plan.product.transpose = Transpose::no;
  } else {
    const std::string written = batch + free_a + free_b;
    plan.product = *in_place(indices, written, batch, free_a, free_b);
    plan.product.transpose = Transpose::no;
    plan.product.order = permutation(written, result);
  }
  const std::string a = without_units(indices, indices.a), b = without_units(indices, indices.b);
  if (plan.swapped) {
    plan.a = operand_layout(indices, a, batch, contracted, free_a);
    plan.b = operand_layout(indices, b, batch, free_b, contracted);
  } else {
    plan.a = operand_layout(indices, a, batch, free_a, contracted);
    plan.b = operand_layout(indices, b, batch, contracted, free_b);
  }
  return plan;
}

/// Every tensor either stays where it is, and then fixes the order inside its groups, or is
/// permuted, and then any order will do: so it is enough to try the orders of the three tensors.
ContractionPlan best_plan(const Indices& indices) {
  std::optional<ContractionPlan> best;
  for (const std::string* batch : {&indices.a, &indices.b, &indices.result})
    for (const std::string* contracted : {&indices.a, &indices.b})
      for (const std::string* free_a : {&indices.a, &indices.result})
        for (const std::string* free_b : {&indices.b, &indices.result}) {
          const Groups groups{group(indices, *batch, true, true, true),
                              group(indices, *contracted, true, true, false),
                              group(indices, *free_a, true, false, true),
                              group(indices, *free_b, false, true, true)};
          ContractionPlan plan = plan_with(indices, groups);
          if (!best || plan.moved_elements() < best->moved_elements()) best = std::move(plan);
          if (best->moved_elements() == 0) return *best;
        }
  return *best;
}

template <class T>
Tensor<T> arranged(const Tensor<T>& operand, const MatrixLayout& layout) {
  Tensor<T> squeezed = operand.reshaped(layout.shape);
  return layout.order.empty() ? squeezed : permute(squeezed, layout.order);
}

/// The shape that gemm writes: that of the product, before its permutation.
template <class T>
Tensor<T> execute(const ContractionPlan& plan, const Tensor<T>& a, const Tensor<T>& b) {
  if (element_count(plan.result_shape) == 0 || plan.inner == 0)
    return Tensor<T>::zeros(plan.result_shape);
  const Tensor<T> first = plan.swapped ? arranged(b, plan.b) : arranged(a, plan.a);
  const Tensor<T> second = plan.swapped ? arranged(a, plan.a) : arranged(b, plan.b);
  const MatrixLayout& left = plan.swapped ? plan.b : plan.a;
  const MatrixLayout& right = plan.swapped ? plan.a : plan.b;
  Tensor<T> product(plan.product.shape);
  auto& queue = backend::queue();
  if (plan.batch == 1)
    backend::gemm(queue, left.transpose, right.transpose, plan.rows, plan.columns, plan.inner, T(1),
                  first.data(), left.leading_dimension, second.data(), right.leading_dimension,
                  T(0), product.mutable_data(), plan.product.leading_dimension);
  else
    backend::gemm_strided_batched(
        queue, left.transpose, right.transpose, plan.rows, plan.columns, plan.inner, T(1),
        first.data(), left.leading_dimension, left.batch_stride, second.data(),
        right.leading_dimension, right.batch_stride, T(0), product.mutable_data(),
        plan.product.leading_dimension, plan.product.batch_stride, plan.batch);
  if (!plan.product.order.empty()) product = permute(product, plan.product.order);
  return product.reshaped(plan.result_shape);
}

/// Labels for mode lists: a letter for each mode of a, then for each free mode of b.
std::string indices_from_modes(std::span<const Index> shape_a, std::span<const int> modes_a,
                               std::span<const Index> shape_b, std::span<const int> modes_b) {
  const std::string letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (modes_a.size() != modes_b.size())
    fail("contract: expected as many modes of a as of b, found ", modes_a.size(), " and ",
         modes_b.size());
  if (shape_a.size() + shape_b.size() > letters.size())
    fail("contract: expected at most ", letters.size(), " modes in all, found ",
         shape_a.size() + shape_b.size());
  std::string a = letters.substr(0, shape_a.size());
  std::string b = letters.substr(shape_a.size(), shape_b.size());
  std::string result = a + b;
  for (std::size_t i = 0; i < modes_a.size(); ++i) {
    const int mode_a = modes_a[i], mode_b = modes_b[i];
    if (mode_a < 0 || mode_a >= static_cast<int>(a.size()) || mode_b < 0 ||
        mode_b >= static_cast<int>(b.size()))
      fail("contract: no modes ", mode_a, " and ", mode_b, " in tensors of ", shape_text(shape_a),
           " and ", shape_text(shape_b));
    if (!contains(result, a[mode_a]) || !contains(result, b[mode_b]))
      fail("contract: mode ", mode_a, " of a or ", mode_b, " of b is named twice");
    std::erase(result, a[mode_a]);
    std::erase(result, b[mode_b]);
    b[mode_b] = a[mode_a];
  }
  return a + "," + b + "->" + result;
}

void check_permutation(std::span<const Index> shape, std::span<const int> order) {
  std::vector<int> sorted(order.begin(), order.end());
  std::sort(sorted.begin(), sorted.end());
  bool valid = sorted.size() == shape.size();
  for (std::size_t i = 0; valid && i < sorted.size(); ++i) valid = sorted[i] == static_cast<int>(i);
  if (valid) return;
  std::string text;
  for (int mode : order) text += (text.empty() ? "" : ", ") + std::to_string(mode);
  fail("permute: expected a permutation of the modes of ", shape_text(shape), ", found (", text,
       ")");
}

}  // namespace

Index ContractionPlan::moved_elements() const {
  Index moved = 0;
  for (const MatrixLayout* layout : {&a, &b, &product})
    if (!layout->order.empty()) moved += element_count(layout->shape);
  return moved;
}

ContractionPlan plan_contraction(std::string_view indices, std::span<const Index> shape_a,
                                 std::span<const Index> shape_b) {
  return best_plan(parse(indices, shape_a, shape_b));
}

template <class T>
Tensor<T> permute(const Tensor<T>& tensor, std::span<const int> order) {
  check_permutation(tensor.shape(), order);
  Shape shape;
  int previous = -1;
  bool moves = false;
  for (int mode : order) {
    shape.push_back(tensor.extent(mode));
    if (shape.back() == 1) continue;
    moves = moves || mode < previous;
    previous = mode;
  }
  if (!moves || tensor.size() == 0) return tensor.reshaped(shape);
  Tensor<T> result(shape);
  backend::permute(backend::queue(), tensor.data(), tensor.shape(), order, result.mutable_data());
  return result;
}

template <class T>
Tensor<T> matrix_product(const Tensor<T>& a, const Tensor<T>& b, Transpose transpose_a,
                         Transpose transpose_b) {
  if (a.order() != 2 || b.order() != 2)
    fail("matrix_product: expected two matrices, found ", shape_text(a.shape()), " and ",
         shape_text(b.shape()));
  const bool plain_a = transpose_a == Transpose::no, plain_b = transpose_b == Transpose::no;
  const Index rows = a.extent(plain_a ? 0 : 1), inner = a.extent(plain_a ? 1 : 0);
  const Index columns = b.extent(plain_b ? 1 : 0);
  if (b.extent(plain_b ? 0 : 1) != inner)
    fail("matrix_product: the inner extents of ", shape_text(a.shape()),
         plain_a ? "" : " (transposed)", " and ", shape_text(b.shape()),
         plain_b ? "" : " (transposed)", " differ");
  if (rows * columns == 0 || inner == 0) return Tensor<T>::zeros({rows, columns});
  Tensor<T> product({rows, columns});
  backend::gemm(backend::queue(), transpose_a, transpose_b, rows, columns, inner, T(1), a.data(),
                a.extent(1), b.data(), b.extent(1), T(0), product.mutable_data(), columns);
  return product;
}

template <class T>
Tensor<T> contract(std::string_view indices, const Tensor<T>& a, const Tensor<T>& b) {
  return execute(plan_contraction(indices, a.shape(), b.shape()), a, b);
}

template <class T>
Tensor<T> contract(const Tensor<T>& a, std::span<const int> modes_a, const Tensor<T>& b,
                   std::span<const int> modes_b) {
  return contract(indices_from_modes(a.shape(), modes_a, b.shape(), modes_b), a, b);
}

#define METATT_CONTRACT(T)                                                                     \
  template Tensor<T> permute(const Tensor<T>&, std::span<const int>);                          \
  template Tensor<T> matrix_product(const Tensor<T>&, const Tensor<T>&, Transpose, Transpose); \
  template Tensor<T> contract(std::string_view, const Tensor<T>&, const Tensor<T>&);           \
  template Tensor<T> contract(const Tensor<T>&, std::span<const int>, const Tensor<T>&,        \
                              std::span<const int>);
METATT_CONTRACT(float)
METATT_CONTRACT(double)
METATT_CONTRACT(std::complex<float>)
METATT_CONTRACT(std::complex<double>)
#undef METATT_CONTRACT

}  // namespace metatt::tn
