#include <metatt/autodiff/ops_diagonal.hpp>

#include <vector>

namespace metatt::autodiff {

namespace {

template <class T>
void check_gains(const Variable<T>& x, std::span<const ColumnGain<T>> gains,
                 const Variable<T>& bias) {
  if (x.value.order() != 2)
    tn::fail("scale_columns: expected x (n × width), found ", tn::shape_text(x.value.shape()));
  const Index width = x.value.extent(1);
  Index end = 0;
  for (const ColumnGain<T>& gain : gains) {
    if (gain.factors.empty() || gain.first_column < end ||
        gain.first_column + gain.factors.value.size() > width)
      tn::fail("scale_columns: expected factors for columns ", end, " … ", width - 1, ", found ",
               tn::shape_text(gain.factors.value.shape()), " from column ", gain.first_column);
    end = gain.first_column + gain.factors.value.size();
  }
  if (!bias.empty() && (bias.value.order() != 1 || bias.value.extent(0) != width))
    tn::fail("scale_columns: expected a bias of ", width, " numbers, found ",
             tn::shape_text(bias.value.shape()));
}

/// y = x, its columns times the gains, plus the bias if there is one; y may be x.
template <class T>
void scale_all(const Tensor<T>& x, std::span<const ColumnGain<T>> gains, const Tensor<T>& bias,
               Tensor<T>& y) {
  const Index n = x.extent(0), width = x.extent(1);
  T* out = y.mutable_data();
  Index column = 0;
  const auto scale = [&](Index end, const T* factors) {
    if (end > column)
      backend::scale_columns(tn::backend::queue(), n, end - column, x.data() + column, width,
                             factors, bias.empty() ? nullptr : bias.data() + column, out + column,
                             width);
    column = end;
  };
  for (const ColumnGain<T>& gain : gains) {
    scale(gain.first_column, nullptr);
    scale(gain.first_column + gain.factors.value.size(), gain.factors.value.data());
  }
  scale(width, nullptr);
}

/// The elements of the diagonals as n columns of r: where a[i][k] is in the core.
template <class T>
void copy_diagonals(Index n, Index r, const T* from, bool into_core, T* to) {
  for (Index i = 0; i < n; ++i) {
    const Index core = i * r, step = n * r + 1;
    tn::backend::copy_matrix(tn::backend::queue(), r, 1, from + i * r, into_core ? 1 : step,
                             to + core, into_core ? step : 1);
  }
}

}  // namespace

template <class T>
Variable<T> scale_columns(Tape<T>& tape, const Variable<T>& x, std::span<const ColumnGain<T>> gains,
                          const Variable<T>& bias) {
  check_gains(x, gains, bias);
  Tensor<T> y(x.value.shape());
  scale_all(x.value, gains, bias.value, y);
  Variable<T> tracked = x;  // or any other input that is
  if (!tracked.tracked()) tracked = bias;
  bool gains_tracked = false;
  for (const ColumnGain<T>& gain : gains) {
    if (!tracked.tracked()) tracked = gain.factors;
    gains_tracked = gains_tracked || gain.factors.tracked();
  }
  const Tensor<T> saved = gains_tracked ? tape.save(x.value) : Tensor<T>();
  const std::vector<ColumnGain<T>> kept(gains.begin(), gains.end());
  return tape.record(
      "scale_columns", std::move(y), {&tracked},
      [x = Variable<T>{{}, x.node}, saved, kept, bias](Gradients<T>& gradients, Tensor<T>& dy) {
        auto& queue = tn::backend::queue();
        const Index n = dy.extent(0), width = dy.extent(1);
        gradients.into(bias, [&](T* db, T beta) {
          backend::column_sums(queue, n, width, dy.data(), beta, db);
        });
        for (const ColumnGain<T>& gain : kept)
          gradients.into(gain.factors, [&](T* df, T beta) {
            backend::column_products(queue, n, gain.factors.value.size(),
                                     saved.data() + gain.first_column, width,
                                     dy.data() + gain.first_column, width, beta, df);
          });
        if (!x.tracked()) return;
        scale_all(dy, std::span<const ColumnGain<T>>(kept), Tensor<T>(), dy);
        gradients.give(x, std::move(dy));
      });
}

template <class T>
Variable<T> scale_columns(Tape<T>& tape, const Variable<T>& x, const Variable<T>& factors) {
  const ColumnGain<T> gain{factors, 0};
  if (x.value.order() == 2 && factors.value.size() != x.value.extent(1))
    tn::fail("scale_columns: expected ", x.value.extent(1), " factors, found ",
             tn::shape_text(factors.value.shape()));
  return scale_columns<T>(tape, x, std::span(&gain, 1), {});
}

template <class T>
Variable<T> quotient(Tape<T>& tape, const Variable<T>& x, const std::vector<T>& divisors) {
  const Index count = x.value.size();
  if (count != static_cast<Index>(divisors.size()))
    tn::fail("quotient: expected ", count, " divisors, found ", divisors.size());
  std::vector<T> values = x.value.to_vector(), inverse;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] /= divisors[i];
    inverse.push_back(1 / divisors[i]);
  }
  return tape.record("quotient", Tensor<T>::from(x.value.shape(), std::span<const T>(values)), {&x},
                     [x = Variable<T>{{}, x.node},
                      inverse = Tensor<T>::from({count}, std::span<const T>(inverse))](
                         Gradients<T>& gradients, Tensor<T>& dy) {
                       backend::scale_columns<T>(tn::backend::queue(), 1, inverse.size(), dy.data(),
                                                 inverse.size(), inverse.data(), nullptr,
                                                 dy.mutable_data(), inverse.size());
                       gradients.give(x, std::move(dy));
                     });
}

template <class T>
Variable<T> diagonal_core(Tape<T>& tape, const Variable<T>& a) {
  if (a.value.order() != 2)
    tn::fail("diagonal_core: expected a (n × r), found ", tn::shape_text(a.value.shape()));
  const Index n = a.value.extent(0), r = a.value.extent(1);
  Tensor<T> core = Tensor<T>::zeros({r, n, r});
  copy_diagonals(n, r, a.value.data(), true, core.mutable_data());
  return tape.record("diagonal_core", std::move(core), {&a},
                     [a = Variable<T>{{}, a.node}, n, r](Gradients<T>& gradients, Tensor<T>& dc) {
                       Tensor<T> da({n, r});
                       copy_diagonals(n, r, dc.data(), false, da.mutable_data());
                       gradients.give(a, std::move(da));
                     });
}

#define METATT_INSTANTIATE(T)                                                                      \
  template Variable<T> scale_columns(Tape<T>&, const Variable<T>&, std::span<const ColumnGain<T>>, \
                                     const Variable<T>&);                                          \
  template Variable<T> scale_columns(Tape<T>&, const Variable<T>&, const Variable<T>&);            \
  template Variable<T> quotient(Tape<T>&, const Variable<T>&, const std::vector<T>&);              \
  template Variable<T> diagonal_core(Tape<T>&, const Variable<T>&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
