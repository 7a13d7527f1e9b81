#include <metatt/autodiff/ops_normalisation.hpp>

namespace metatt::autodiff {

namespace {

template <class T>
void check(const Variable<T>& x, const Variable<T>& bias, const Variable<T>& residual,
           const LayerNormParameters<T>& norm) {
  if (x.value.order() != 2)
    tn::fail("residual_layer_norm: expected x (n × width), found ",
             tn::shape_text(x.value.shape()));
  const Shape width{x.value.extent(1)};
  if (!residual.empty() && residual.value.shape() != x.value.shape())
    tn::fail("residual_layer_norm: x is ", tn::shape_text(x.value.shape()), ", the residual ",
             tn::shape_text(residual.value.shape()));
  for (const auto* vector : {&bias, &norm.gamma, &norm.beta})
    if ((vector == &bias ? !bias.empty() : true) && vector->value.shape() != width)
      tn::fail("residual_layer_norm: bias, gamma and beta need ", width[0], " numbers, found ",
               tn::shape_text(vector->value.shape()));
}

template <class T>
struct ResidualLayerNormBackward {
  Variable<T> x, bias, residual, gamma, beta;
  Tensor<T> normalised, inverse_deviation;
  Dropout mask;
  Index n, width;

  void operator()(Gradients<T>& gradients, Tensor<T>& dy) const {
    auto& queue = tn::backend::queue();
    if (gamma.tracked() || beta.tracked()) {
      gradients.into(gamma, [&](T* dgamma, T beta_gamma) {
        gradients.into(beta, [&](T* dbeta, T beta_beta) {
          backend::layer_norm_parameter_gradients(queue, n, width, dy.data(), normalised.data(),
                                                  beta_gamma, dgamma, beta_beta, dbeta);
        });
      });
    }
    const auto run = [&](T beta_residual, T* dresidual, T* dx) {
      backend::residual_layer_norm_backward(queue, n, width, dy.data(), normalised.data(),
                                            inverse_deviation.data(), gamma.value.data(), mask,
                                            beta_residual, dresidual, dx);
    };
    const bool needs_dx = x.tracked() || bias.tracked();
    Tensor<T> dx;
    if (needs_dx && !mask.active()) {
      // Without dropout both gradients are the same numbers: one tensor for both.
      dx = Tensor<T>({n, width});
      run(T(0), nullptr, dx.mutable_data());
      gradients.give(residual, dx);
    } else {
      if (needs_dx) dx = Tensor<T>({n, width});
      T* target = needs_dx ? dx.mutable_data() : nullptr;
      if (residual.tracked())
        gradients.into(residual, [&](T* d, T beta_residual) { run(beta_residual, d, target); });
      else if (needs_dx)
        run(T(0), nullptr, target);
    }
    gradients.into(bias, [&](T* db, T beta_bias) {
      backend::column_sums(queue, n, width, dx.data(), beta_bias, db);
    });
    if (x.tracked()) gradients.give(x, std::move(dx));
  }
};

}  // namespace

template <class T>
Variable<T> residual_layer_norm(Tape<T>& tape, const Variable<T>& x, const Variable<T>& bias,
                                const Variable<T>& residual, const LayerNormParameters<T>& norm,
                                double dropout) {
  check(x, bias, residual, norm);
  if (norm.gamma.tracked() != norm.beta.tracked())
    tn::fail("residual_layer_norm: gamma and beta must be both trained or both frozen");
  const Index n = x.value.extent(0), width = x.value.extent(1);
  ResidualLayerNormBackward<T> step{{{}, x.node}, {{}, bias.node},       {{}, residual.node},
                                    norm.gamma,   {{}, norm.beta.node},  {},
                                    {},           tape.dropout(dropout), n,
                                    width};
  const bool tracked = tape.recording() && (x.tracked() || bias.tracked() || residual.tracked() ||
                                            norm.gamma.tracked());
  if (tracked) {
    step.normalised = tape.save(Tensor<T>({n, width}));
    step.inverse_deviation = tape.save(Tensor<T>({n}));
  }
  Tensor<T> y({n, width});
  backend::residual_layer_norm_forward(
      tn::backend::queue(), n, width, x.value.data(), bias.value.data(), residual.value.data(),
      step.mask, norm.gamma.value.data(), norm.beta.value.data(), static_cast<T>(norm.epsilon),
      y.mutable_data(), tracked ? step.normalised.mutable_data() : nullptr,
      tracked ? step.inverse_deviation.mutable_data() : nullptr);
  return tape.record("residual_layer_norm", std::move(y),
                     {&x, &bias, &residual, &norm.gamma, &norm.beta}, std::move(step));
}

template <class T>
Variable<T> rms_norm(Tape<T>& tape, const Variable<T>& x, const Variable<T>& gamma,
                     double epsilon) {
  if (x.value.order() != 2 || gamma.value.shape() != Shape{x.value.extent(1)})
    tn::fail("rms_norm: expected x (n × width) and gamma (width), found ",
             tn::shape_text(x.value.shape()), " and ", tn::shape_text(gamma.value.shape()));
  const Index n = x.value.extent(0), width = x.value.extent(1);
  const bool tracked = x.tracked() || gamma.tracked();
  Tensor<T> y({n, width}), inverse_root;
  if (tracked) {
    tape.save(x.value);
    inverse_root = tape.save(Tensor<T>({n}));
  }
  backend::rms_norm_forward(tn::backend::queue(), n, width, x.value.data(), gamma.value.data(),
                            static_cast<T>(epsilon), y.mutable_data(),
                            tracked ? inverse_root.mutable_data() : nullptr);
  return tape.record(
      "rms_norm", std::move(y), {&x, &gamma}, [=](Gradients<T>& gradients, Tensor<T>& dy) {
        auto& queue = tn::backend::queue();
        gradients.into(gamma, [&](T* dgamma, T beta) {
          backend::rms_norm_parameter_gradient(queue, n, width, dy.data(), x.value.data(),
                                               inverse_root.data(), beta, dgamma);
        });
        gradients.into(x, [&](T* dx, T beta) {
          backend::rms_norm_backward(queue, n, width, dy.data(), x.value.data(),
                                     inverse_root.data(), gamma.value.data(), beta, dx);
        });
      });
}

template <class T>
Variable<T> residual_add(Tape<T>& tape, const Variable<T>& x, const Variable<T>& residual,
                         double dropout) {
  if (x.value.shape() != residual.value.shape())
    tn::fail("residual_add: x is ", tn::shape_text(x.value.shape()), ", the residual ",
             tn::shape_text(residual.value.shape()));
  const Dropout mask = tape.dropout(dropout);
  const Index size = x.value.size();
  Tensor<T> sum(x.value.shape());
  tn::backend::copy(tn::backend::queue(), size, residual.value.data(), sum.mutable_data());
  if (mask.active())
    backend::dropout(tn::backend::queue(), size, mask, x.value.data(), T(1), sum.mutable_data());
  else
    tn::backend::add_scaled(tn::backend::queue(), size, T(1), x.value.data(), sum.mutable_data());
  const Variable<T> from_x{{}, x.node}, from_residual{{}, residual.node};
  return tape.record("residual_add", std::move(sum), {&x, &residual},
                     [=](Gradients<T>& gradients, Tensor<T>& gradient) {
                       // Without dropout both gradients are the same numbers: one tensor for both.
                       if (!mask.active())
                         gradients.give(from_x, gradient);
                       else
                         gradients.into(from_x, [&](T* dx, T beta) {
                           backend::dropout(tn::backend::queue(), size, mask, gradient.data(), beta,
                                            dx);
                         });
                       gradients.give(from_residual, std::move(gradient));
                     });
}

#define METATT_INSTANTIATE(T)                                                                 \
  template Variable<T> residual_layer_norm(Tape<T>&, const Variable<T>&, const Variable<T>&,  \
                                           const Variable<T>&, const LayerNormParameters<T>&, \
                                           double);                                           \
  template Variable<T> rms_norm(Tape<T>&, const Variable<T>&, const Variable<T>&, double);    \
  template Variable<T> residual_add(Tape<T>&, const Variable<T>&, const Variable<T>&, double);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
