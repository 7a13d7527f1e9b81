#include <metatt/autodiff/ops_linear.hpp>

#include <algorithm>
#include <vector>

namespace metatt::autodiff {

namespace {

using tn::Transpose;

/// The extents of an update, checked against the layer.
struct UpdateShape {
  Index r1, r3, slices, ld_v;
};

template <class T>
UpdateShape check_update(const LowRankUpdate<T>& update, Index d_in, Index d_out) {
  const auto describe = [&] {
    return "U " + tn::shape_text(update.U.value.shape()) + ", C " +
           tn::shape_text(update.C.value.shape()) + ", V " + tn::shape_text(update.V.value.shape());
  };
  const bool has_middle = !update.C.empty();
  if (update.U.value.order() != 2 || update.V.value.order() != 2 ||
      (has_middle && update.C.value.order() != 3))
    tn::fail("linear: an update needs U (D_in × r1), C (r1 × slices × r3), V (r3 × D_out), found ",
             describe());
  const UpdateShape s{update.U.value.extent(1), update.V.value.extent(0),
                      has_middle ? update.C.value.extent(1) : 1, update.V.value.extent(1)};
  const bool ranks_fit = has_middle
                             ? update.C.value.extent(0) == s.r1 && update.C.value.extent(2) == s.r3
                             : s.r1 == s.r3;
  if (!ranks_fit) tn::fail("linear: the ranks of an update do not match: ", describe());
  if (update.U.value.extent(0) < d_in || s.ld_v < update.width)
    tn::fail("linear: an update of a ", d_in, "-wide input and ", update.width,
             " output columns has only ", describe());
  if (update.first_column < 0 || update.first_column + update.width > d_out || update.slice < 0 ||
      update.slice >= s.slices)
    tn::fail("linear: columns ", update.first_column, " + ", update.width, " of ", d_out,
             " or slice ", update.slice, " of ", s.slices, " are out of range");
  return s;
}

/// Updates with one U, and x·U for them (where there is no C times α, which then is the same).
template <class T>
struct SharedProjection {
  Variable<T> U;
  Tensor<T> z;  // n × r1
  std::vector<std::size_t> members;
};

template <class T>
bool share_projection(const LowRankUpdate<T>& a, const LowRankUpdate<T>& b) {
  return a.U.value.data() == b.U.value.data() && a.C.empty() == b.C.empty() &&
         (!a.C.empty() || a.alpha == b.alpha);
}

template <class T>
std::vector<SharedProjection<T>> group_by_projection(std::span<const LowRankUpdate<T>> updates) {
  std::vector<SharedProjection<T>> groups;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const auto home = std::ranges::find_if(groups, [&](const SharedProjection<T>& group) {
      return share_projection(updates[group.members.front()], updates[i]);
    });
    if (home != groups.end())
      home->members.push_back(i);
    else
      groups.push_back({updates[i].U, {}, {i}});
  }
  return groups;
}

template <class T>
const T* middle(const LowRankUpdate<T>& update, const UpdateShape& s) {
  return update.C.value.data() + update.slice * s.r3;
}

/// α·z·C[slice], or z itself (which then holds α already).
template <class T>
Tensor<T> through_middle(const LowRankUpdate<T>& update, const UpdateShape& s, const Tensor<T>& z) {
  if (update.C.empty()) return z;
  const Index n = z.extent(0);
  Tensor<T> out({n, s.r3});
  backend::low_rank_project(tn::backend::queue(), n, s.r1, s.r3, update.alpha, z.data(), s.r1,
                            Transpose::no, middle(update, s), s.slices * s.r3, T(0),
                            out.mutable_data());
  return out;
}

/// What the backward pass of one linear layer needs; empty tensors where nothing asks for them.
template <class T>
struct LinearBackward {
  Variable<T> x, weight, bias;
  Tensor<T> saved_x;
  std::vector<LowRankUpdate<T>> updates;
  std::vector<UpdateShape> shapes;
  std::vector<SharedProjection<T>> groups;
  Index n, d_in, d_out;

  void operator()(Gradients<T>& gradients, Tensor<T>& dy) const {
    auto& queue = tn::backend::queue();
    const T* above = dy.data();
    gradients.into(x, [&](T* dx, T beta) {
      tn::backend::gemm(queue, Transpose::no, Transpose::no, n, d_in, d_out, T(1), above, d_out,
                        weight.value.data(), d_in, beta, dx, d_in);
    });
    gradients.into(weight, [&](T* dw, T beta) {
      tn::backend::gemm(queue, Transpose::yes, Transpose::no, d_out, d_in, n, T(1), above, d_out,
                        saved_x.data(), d_in, beta, dw, d_in);
    });
    gradients.into(bias,
                   [&](T* db, T beta) { backend::column_sums(queue, n, d_out, above, beta, db); });
    for (const auto& group : groups) backward_group(gradients, group, above);
  }

  void backward_group(Gradients<T>& gradients, const SharedProjection<T>& group,
                      const T* above) const {
    auto& queue = tn::backend::queue();
    const Index r1 = group.U.value.extent(1);
    const bool needs_dz = group.U.tracked() || x.tracked();
    Tensor<T> dz;
    for (const std::size_t i : group.members) {
      if (updates[i].C.empty()) {
        dz = backward_member(gradients, updates[i], shapes[i], group.z, above, needs_dz,
                             std::move(dz));
        continue;
      }
      const Tensor<T> t =
          backward_member(gradients, updates[i], shapes[i], group.z, above, needs_dz, {});
      if (!needs_dz) continue;
      const bool first = dz.empty();
      if (first) dz = Tensor<T>({n, r1});
      backend::low_rank_project(queue, n, shapes[i].r3, r1, T(1), t.data(), shapes[i].r3,
                                Transpose::yes, middle(updates[i], shapes[i]),
                                shapes[i].slices * shapes[i].r3, first ? T(0) : T(1),
                                dz.mutable_data());
    }
    if (!needs_dz) return;
    const bool whole = group.U.value.extent(0) == d_in;
    const auto add = [&](T* du, T beta) {
      backend::low_rank_gradient(queue, n, d_in, r1, T(1), dz.data(), saved_x.data(), d_in,
                                 Transpose::yes, beta, du, r1);
    };
    if (whole)
      gradients.into(group.U, add);
    else
      gradients.add_into(group.U, [&](T* du) { add(du, T(1)); });
    gradients.into(x, [&](T* dx, T) {
      backend::low_rank_expand(queue, n, d_in, r1, dz.data(), Transpose::yes, group.U.value.data(),
                               r1, dx, d_in);
    });
  }

  /// Gradients of V and C; returns t = α·dy·Vᵀ (n × r3), added to `sum` if there is one, if the
  /// caller or C needs it.
  Tensor<T> backward_member(Gradients<T>& gradients, const LowRankUpdate<T>& update,
                            const UpdateShape& s, const Tensor<T>& z, const T* above, bool needs_dz,
                            Tensor<T> sum) const {
    auto& queue = tn::backend::queue();
    const T* columns = above + update.first_column;
    if (update.V.tracked()) {
      const Tensor<T> zc = through_middle(update, s, z);
      const auto add = [&](T* dv, T beta) {
        backend::low_rank_gradient(queue, n, update.width, s.r3, T(1), zc.data(), columns, d_out,
                                   Transpose::no, beta, dv, s.ld_v);
      };
      if (s.ld_v == update.width)
        gradients.into(update.V, add);
      else
        gradients.add_into(update.V, [&](T* dv) { add(dv, T(1)); });
    }
    if (!needs_dz && !update.C.tracked()) return {};
    const T beta = sum.empty() ? T(0) : T(1);
    Tensor<T> t = sum.empty() ? Tensor<T>({n, s.r3}) : std::move(sum);
    backend::low_rank_project(queue, n, update.width, s.r3, update.alpha, columns, d_out,
                              Transpose::yes, update.V.value.data(), s.ld_v, beta,
                              t.mutable_data());
    gradients.add_into(update.C, [&](T* dc) {
      backend::low_rank_gradient(queue, n, s.r3, s.r1, T(1), z.data(), t.data(), s.r3,
                                 Transpose::no, T(1), dc + update.slice * s.r3, s.slices * s.r3);
    });
    return t;
  }
};

template <class T>
void check_linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias) {
  if (x.value.order() != 2 || weight.value.order() != 2 ||
      x.value.extent(1) != weight.value.extent(1))
    tn::fail("linear: expected x (n × D_in) and weight (D_out × D_in), found ",
             tn::shape_text(x.value.shape()), " and ", tn::shape_text(weight.value.shape()));
  if (!bias.empty() && (bias.value.order() != 1 || bias.value.extent(0) != weight.value.extent(0)))
    tn::fail("linear: expected a bias of ", weight.value.extent(0), " numbers, found ",
             tn::shape_text(bias.value.shape()));
}

}  // namespace

template <class T>
Variable<T> linear(Tape<T>& tape, const Variable<T>& x, const Variable<T>& weight,
                   const Variable<T>& bias, std::span<const LowRankUpdate<T>> updates) {
  check_linear(x, weight, bias);
  auto& queue = tn::backend::queue();
  const Index n = x.value.extent(0), d_in = x.value.extent(1), d_out = weight.value.extent(0);
  LinearBackward<T> step{
      x, weight, bias, {}, {updates.begin(), updates.end()}, {}, group_by_projection(updates),
      n, d_in,   d_out};
  for (const auto& update : updates) step.shapes.push_back(check_update(update, d_in, d_out));

  Tensor<T> y({n, d_out});
  if (!bias.empty())
    backend::broadcast_bias(queue, n, d_out, bias.value.data(), y.mutable_data(), d_out);
  const T beta = bias.empty() ? T(0) : T(1);
  if (n == 1)
    backend::matrix_vector(queue, d_out, d_in, weight.value.data(), x.value.data(), beta,
                           y.mutable_data());
  else
    tn::backend::gemm(queue, Transpose::no, Transpose::yes, n, d_out, d_in, T(1), x.value.data(),
                      d_in, weight.value.data(), d_in, beta, y.mutable_data(), d_out);
  bool needs_x = weight.tracked();
  for (auto& group : step.groups) {
    const auto& first = updates[group.members.front()];
    const Index r1 = group.U.value.extent(1);
    group.z = Tensor<T>({n, r1});
    backend::low_rank_project(queue, n, d_in, r1, first.C.empty() ? first.alpha : T(1),
                              x.value.data(), d_in, Transpose::no, group.U.value.data(), r1, T(0),
                              group.z.mutable_data());
    bool needs_z = false;
    for (const std::size_t i : group.members) {
      const Tensor<T> zc = through_middle(updates[i], step.shapes[i], group.z);
      backend::low_rank_expand(queue, n, updates[i].width, step.shapes[i].r3, zc.data(),
                               Transpose::no, updates[i].V.value.data(), step.shapes[i].ld_v,
                               y.mutable_data() + updates[i].first_column, d_out);
      needs_z = needs_z || updates[i].V.tracked() || updates[i].C.tracked();
    }
    needs_x = needs_x || group.U.tracked();
    if (tape.recording() && needs_z) tape.save(group.z);
    if (!needs_z) group.z = {};
  }
  if (tape.recording() && needs_x) step.saved_x = tape.save(x.value);
  step.x.value = {};  // only its place on the tape is needed from here on

  bool tracked = x.tracked() || weight.tracked() || bias.tracked();
  for (const auto& u : updates)
    tracked = tracked || u.U.tracked() || u.C.tracked() || u.V.tracked();
  const Variable<T> any{{}, tracked ? 0 : -1};
  return tape.record("linear", std::move(y), {&any}, std::move(step));
}

template <class T>
Variable<T> matmul(Tape<T>& tape, const Variable<T>& a, const Variable<T>& b, Shape shape) {
  if (a.value.order() < 1 || b.value.order() < 1)
    tn::fail("matmul: expected two tensors of at least one mode, found ",
             tn::shape_text(a.value.shape()), " and ", tn::shape_text(b.value.shape()));
  const Index k = b.value.extent(0);
  if (k == 0 || a.value.extent(-1) != k ||
      a.value.size() / k * (b.value.size() / k) != tn::element_count(shape))
    tn::fail("matmul: cannot multiply ", tn::shape_text(a.value.shape()), " by ",
             tn::shape_text(b.value.shape()), " into ", tn::shape_text(shape));
  const Index n = a.value.size() / k, m = b.value.size() / k;
  Tensor<T> product(std::move(shape));
  tn::backend::gemm(tn::backend::queue(), Transpose::no, Transpose::no, n, m, k, T(1),
                    a.value.data(), k, b.value.data(), m, T(0), product.mutable_data(), m);
  // Each factor is kept only for the gradient of the other one.
  const Tensor<T> saved_a = b.tracked() ? a.value : Tensor<T>();
  const Tensor<T> saved_b = a.tracked() ? b.value : Tensor<T>();
  const Variable<T> left{{}, a.node}, right{{}, b.node};
  return tape.record(
      "matmul", std::move(product), {&a, &b},
      [left, right, saved_a, saved_b, n, m, k](Gradients<T>& gradients, Tensor<T>& dc) {
        auto& queue = tn::backend::queue();
        gradients.into(left, [&](T* da, T beta) {
          tn::backend::gemm(queue, Transpose::no, Transpose::yes, n, k, m, T(1), dc.data(), m,
                            saved_b.data(), m, beta, da, k);
        });
        gradients.into(right, [&](T* db, T beta) {
          tn::backend::gemm(queue, Transpose::yes, Transpose::no, k, m, n, T(1), saved_a.data(), k,
                            dc.data(), m, beta, db, m);
        });
      });
}

#define METATT_INSTANTIATE(T)                                                         \
  template Variable<T> linear(Tape<T>&, const Variable<T>&, const Variable<T>&,       \
                              const Variable<T>&, std::span<const LowRankUpdate<T>>); \
  template Variable<T> matmul(Tape<T>&, const Variable<T>&, const Variable<T>&, Shape);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
