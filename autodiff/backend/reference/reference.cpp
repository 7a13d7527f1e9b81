#include <metatt/autodiff/backend/reference/reference.hpp>

#include <metatt/autodiff/backend/reference/elements.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace metatt::autodiff::reference {

namespace {

/// Element (row, column) of x + bias.
template <class T>
double biased(const T* x, const T* bias, Index width, Index row, Index column) {
  return double(x[row * width + column]) + (bias ? double(bias[column]) : 0.0);
}

/// (1 + tanh(t/2))/2, with its digits where that cancels.
double logistic(double t) {
  return 1 / (1 + std::exp(-t));
}

/// √(2/π)·(t + 0.044715·t³), whose tanh is in the approximation of GELU, and its derivative.
double tanh_argument(double t) {
  return std::sqrt(2 * std::numbers::inv_pi) * (t + 0.044715 * t * t * t);
}
double tanh_argument_derivative(double t) {
  return std::sqrt(2 * std::numbers::inv_pi) * (1 + 3 * 0.044715 * t * t);
}

/// gelu(t) = t · Φ(t); Φ by erfc, which keeps its digits where 1 + erf cancels.
double gelu(Gelu kind, double t) {
  if (kind == Gelu::tanh) return t * logistic(2 * tanh_argument(t));
  return t * 0.5 * std::erfc(-t / std::numbers::sqrt2);
}

/// gelu'(t) = Φ(t) + t · φ(t).
double gelu_derivative(Gelu kind, double t) {
  if (kind == Gelu::tanh) {
    const double u = 2 * tanh_argument(t), kept = logistic(u);
    return kept + t * kept * logistic(-u) * 2 * tanh_argument_derivative(t);
  }
  const double density = std::exp(-t * t / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return 0.5 * std::erfc(-t / std::numbers::sqrt2) + t * density;
}

}  // namespace

// --- bias, activation --------------------------------------------------------------------------

template <class T>
void broadcast_bias(Queue&, Index rows, Index width, const T* bias, T* y, Index ldy) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) y[i * ldy + j] = bias[j];
  }
}

template <class T>
void column_sums(Queue&, Index rows, Index width, const T* x, T beta, T* out) {
  for (Index j = 0; j < width; ++j) {
    double sum = 0;
    for (Index i = 0; i < rows; ++i) sum += double(x[i * width + j]);
    out[j] = accumulated(beta, out[j], sum);
  }
}

template <class T>
void scale_columns(Queue&, Index rows, Index width, const T* x, Index ldx, const T* factors,
                   const T* shift, T* y, Index ldy) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      const double factor = factors ? double(factors[j]) : 1.0;
      y[i * ldy + j] =
          static_cast<T>(double(x[i * ldx + j]) * factor + (shift ? double(shift[j]) : 0.0));
    }
  }
}

template <class T>
void column_products(Queue&, Index rows, Index width, const T* x, Index ldx, const T* y, Index ldy,
                     T beta, T* out) {
  for (Index j = 0; j < width; ++j) {
    double sum = 0;
    for (Index i = 0; i < rows; ++i) sum += double(x[i * ldx + j]) * double(y[i * ldy + j]);
    out[j] = accumulated(beta, out[j], sum);
  }
}

template <class T>
void bias_gelu_forward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                       T* y) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      y[i * width + j] = static_cast<T>(gelu(kind, biased(x, bias, width, i, j)));
    }
  }
}

template <class T>
void bias_gelu_backward(Queue&, Gelu kind, Index rows, Index width, const T* x, const T* bias,
                        const T* dy, T* dx) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      const double slope = gelu_derivative(kind, biased(x, bias, width, i, j));
      dx[i * width + j] = static_cast<T>(slope * double(dy[i * width + j]));
    }
  }
}

template <class T>
void swiglu_forward(Queue&, Index rows, Index width, const T* x, T* y) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      const double gate = double(x[i * 2 * width + j]), up = double(x[i * 2 * width + width + j]);
      y[i * width + j] = static_cast<T>(gate * logistic(gate) * up);
    }
  }
}

template <class T>
void swiglu_backward(Queue&, Index rows, Index width, const T* x, const T* dy, T* dx) {
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) {
      const Index at = i * 2 * width + j;
      const double gate = double(x[at]), up = double(x[at + width]),
                   dy_ij = double(dy[i * width + j]);
      const double s = logistic(gate);
      dx[at] = static_cast<T>(dy_ij * up * (s + gate * s * (1 - s)));
      dx[at + width] = static_cast<T>(dy_ij * gate * s);
    }
  }
}

template <class T>
void tanh_forward(Queue&, Index count, const T* x, T* y) {
  for (Index i = 0; i < count; ++i) y[i] = static_cast<T>(std::tanh(double(x[i])));
}

template <class T>
void tanh_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
  for (Index i = 0; i < count; ++i) {
    dx[i] = static_cast<T>((1 - double(y[i]) * double(y[i])) * double(dy[i]));
  }
}

template <class T>
void relu_forward(Queue&, Index count, const T* x, T* y) {
  for (Index i = 0; i < count; ++i) y[i] = x[i] < 0 ? T(0) : x[i];
}

template <class T>
void relu_backward(Queue&, Index count, const T* y, const T* dy, T* dx) {
  for (Index i = 0; i < count; ++i) dx[i] = y[i] > 0 ? dy[i] : T(0);
}

// --- normalisation -----------------------------------------------------------------------------

template <class T>
void residual_layer_norm_forward(Queue&, Index rows, Index width, const T* x, const T* bias,
                                 const T* residual, const Dropout& dropout, const T* gamma,
                                 const T* beta, T epsilon, T* y, T* normalised,
                                 T* inverse_deviation) {
  std::vector<double> s(static_cast<std::size_t>(width));
  for (Index i = 0; i < rows; ++i) {
    double mean = 0;
    for (Index j = 0; j < width; ++j) {
      const Index at = i * width + j;
      s[j] = biased(x, bias, width, i, j) * mask_factor(dropout, at);
      if (residual) s[j] += double(residual[at]);
      mean += s[j] / double(width);
    }
    double variance = 0;
    for (double value : s) variance += (value - mean) * (value - mean) / double(width);
    const double factor = 1 / std::sqrt(variance + double(epsilon));
    for (Index j = 0; j < width; ++j) {
      const double unit = (s[j] - mean) * factor;
      y[i * width + j] = static_cast<T>(unit * double(gamma[j]) + double(beta[j]));
      if (normalised) normalised[i * width + j] = static_cast<T>(unit);
    }
    if (inverse_deviation) inverse_deviation[i] = static_cast<T>(factor);
  }
}

template <class T>
void residual_layer_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* normalised,
                                  const T* inverse_deviation, const T* gamma,
                                  const Dropout& dropout, T beta_residual, T* dresidual, T* dx) {
  for (Index i = 0; i < rows; ++i) {
    // ds = inverse_deviation · (g − mean(g) − normalised · mean(g · normalised)), g = dy · gamma.
    double mean_g = 0;
    double mean_g_normalised = 0;
    for (Index j = 0; j < width; ++j) {
      const double g = double(dy[i * width + j]) * double(gamma[j]);
      mean_g += g / double(width);
      mean_g_normalised += g * double(normalised[i * width + j]) / double(width);
    }
    for (Index j = 0; j < width; ++j) {
      const Index at = i * width + j;
      const double g = double(dy[at]) * double(gamma[j]);
      const double ds =
          double(inverse_deviation[i]) * (g - mean_g - double(normalised[at]) * mean_g_normalised);
      if (dresidual) dresidual[at] = accumulated(beta_residual, dresidual[at], ds);
      if (dx) dx[at] = static_cast<T>(ds * mask_factor(dropout, at));
    }
  }
}

template <class T>
void layer_norm_parameter_gradients(Queue&, Index rows, Index width, const T* dy,
                                    const T* normalised, T beta_gamma, T* dgamma, T beta_beta,
                                    T* dbeta) {
  for (Index j = 0; j < width; ++j) {
    double gamma_sum = 0;
    double beta_sum = 0;
    for (Index i = 0; i < rows; ++i) {
      gamma_sum += double(dy[i * width + j]) * double(normalised[i * width + j]);
      beta_sum += double(dy[i * width + j]);
    }
    if (dgamma) dgamma[j] = accumulated(beta_gamma, dgamma[j], gamma_sum);
    if (dbeta) dbeta[j] = accumulated(beta_beta, dbeta[j], beta_sum);
  }
}

template <class T>
void rms_norm_forward(Queue&, Index rows, Index width, const T* x, const T* gamma, T epsilon, T* y,
                      T* inverse_root) {
  for (Index i = 0; i < rows; ++i) {
    double mean = 0;
    for (Index j = 0; j < width; ++j)
      mean += double(x[i * width + j]) * double(x[i * width + j]) / double(width);
    const double factor = 1 / std::sqrt(mean + double(epsilon));
    for (Index j = 0; j < width; ++j)
      y[i * width + j] = static_cast<T>(double(x[i * width + j]) * factor * double(gamma[j]));
    if (inverse_root) inverse_root[i] = static_cast<T>(factor);
  }
}

template <class T>
void rms_norm_backward(Queue&, Index rows, Index width, const T* dy, const T* x,
                       const T* inverse_root, const T* gamma, T beta_dx, T* dx) {
  for (Index i = 0; i < rows; ++i) {
    // dx = r · (g − x̂ · mean(g · x̂)), g = dy · gamma, x̂ = x · r.
    const double r = double(inverse_root[i]);
    double mean = 0;
    for (Index j = 0; j < width; ++j)
      mean += double(dy[i * width + j]) * double(gamma[j]) * double(x[i * width + j]) * r /
              double(width);
    for (Index j = 0; j < width; ++j) {
      const Index at = i * width + j;
      const double gradient = r * (double(dy[at]) * double(gamma[j]) - double(x[at]) * r * mean);
      dx[at] = accumulated(beta_dx, dx[at], gradient);
    }
  }
}

template <class T>
void rms_norm_parameter_gradient(Queue&, Index rows, Index width, const T* dy, const T* x,
                                 const T* inverse_root, T beta, T* dgamma) {
  for (Index j = 0; j < width; ++j) {
    double sum = 0;
    for (Index i = 0; i < rows; ++i)
      sum += double(dy[i * width + j]) * double(x[i * width + j]) * double(inverse_root[i]);
    dgamma[j] = accumulated(beta, dgamma[j], sum);
  }
}

// --- losses ------------------------------------------------------------------------------------

template <class T>
void softmax_cross_entropy(Queue&, Index rows, Index classes, const T* logits,
                           const std::int32_t* labels, T smoothing, T* loss, T* dlogits) {
  const auto target = [&](Index row, Index j) {
    return double(smoothing) / double(classes) + (j == labels[row] ? 1 - double(smoothing) : 0);
  };
  double total = 0;
  for (Index i = 0; i < rows; ++i) {
    const T* row = logits + i * classes;
    const double largest = *std::max_element(row, row + classes);
    double sum = 0;
    for (Index j = 0; j < classes; ++j) sum += std::exp(double(row[j]) - largest);
    for (Index j = 0; j < classes; ++j)
      if (target(i, j) > 0) total += target(i, j) * (std::log(sum) + largest - double(row[j]));
    if (!dlogits) continue;
    for (Index j = 0; j < classes; ++j) {
      const double probability = std::exp(double(row[j]) - largest) / sum;
      dlogits[i * classes + j] = static_cast<T>((probability - target(i, j)) / double(rows));
    }
  }
  *loss = static_cast<T>(total / double(rows));
}

template <class T>
void mean_squared_error(Queue&, Index count, const T* prediction, const T* target, T* loss,
                        T* dprediction) {
  double total = 0;
  for (Index i = 0; i < count; ++i) {
    const double difference = double(prediction[i]) - double(target[i]);
    total += difference * difference;
    if (dprediction) dprediction[i] = static_cast<T>(2 * difference / double(count));
  }
  *loss = static_cast<T>(total / double(count));
}

template <class T>
void scale_by(Queue&, Index count, const T* factor, T* x) {
  for (Index i = 0; i < count; ++i) x[i] = static_cast<T>(double(*factor) * double(x[i]));
}

// --- embedding, rows, dropout ------------------------------------------------------------------

template <class T>
void embedding_forward(Queue&, Index tokens, Index width, const std::int32_t* ids, const T* table,
                       bool accumulate, T* out) {
  for (Index t = 0; t < tokens; ++t) {
    for (Index j = 0; j < width; ++j) {
      const T entry = table[ids[t] * width + j];
      out[t * width + j] = accumulate ? out[t * width + j] + entry : entry;
    }
  }
}

template <class T>
void embedding_backward(Queue&, Index tokens, Index width, Index entries, const std::int32_t* ids,
                        const T* dout, T* dtable) {
  std::vector<double> sums(dtable, dtable + entries * width);
  for (Index t = 0; t < tokens; ++t) {
    for (Index j = 0; j < width; ++j) sums[ids[t] * width + j] += double(dout[t * width + j]);
  }
  for (Index i = 0; i < entries * width; ++i) dtable[i] = static_cast<T>(sums[i]);
}

template <class T>
void scatter_add_rows(Queue&, Index count, Index width, const std::int32_t* rows, const T* dout,
                      T* x) {
  for (Index i = 0; i < count; ++i) {
    for (Index j = 0; j < width; ++j) x[rows[i] * width + j] += dout[i * width + j];
  }
}

template <class T>
void dropout(Queue&, Index count, const Dropout& dropout, const T* x, T beta, T* y) {
  for (Index i = 0; i < count; ++i) {
    y[i] = accumulated(beta, y[i], double(x[i]) * mask_factor(dropout, i));
  }
}

// --- optimiser ---------------------------------------------------------------------------------

template <class T>
void adamw(Queue&, Index count, const AdamWStep& step, T* values, const T* gradients,
           T* first_moments, T* second_moments) {
  const double correction1 = 1 - std::pow(step.beta1, double(step.step));
  const double correction2 = 1 - std::pow(step.beta2, double(step.step));
  for (Index i = 0; i < count; ++i) {
    const double g = step.gradient_scale * double(gradients[i]);
    const double m = step.beta1 * double(first_moments[i]) + (1 - step.beta1) * g;
    const double v = step.beta2 * double(second_moments[i]) + (1 - step.beta2) * g * g;
    const double direction = (m / correction1) / (std::sqrt(v / correction2) + step.epsilon);
    values[i] =
        static_cast<T>(double(values[i]) -
                       step.learning_rate * (direction + step.weight_decay * double(values[i])));
    first_moments[i] = static_cast<T>(m);
    second_moments[i] = static_cast<T>(v);
  }
}

#define METATT_INSTANTIATE(function)                  \
  template decltype(function<float>) function<float>; \
  template decltype(function<double>) function<double>;

METATT_INSTANTIATE(broadcast_bias)
METATT_INSTANTIATE(column_sums)
METATT_INSTANTIATE(scale_columns)
METATT_INSTANTIATE(column_products)
METATT_INSTANTIATE(bias_gelu_forward)
METATT_INSTANTIATE(bias_gelu_backward)
METATT_INSTANTIATE(swiglu_forward)
METATT_INSTANTIATE(swiglu_backward)
METATT_INSTANTIATE(tanh_forward)
METATT_INSTANTIATE(tanh_backward)
METATT_INSTANTIATE(relu_forward)
METATT_INSTANTIATE(relu_backward)
METATT_INSTANTIATE(residual_layer_norm_forward)
METATT_INSTANTIATE(residual_layer_norm_backward)
METATT_INSTANTIATE(layer_norm_parameter_gradients)
METATT_INSTANTIATE(rms_norm_forward)
METATT_INSTANTIATE(rms_norm_backward)
METATT_INSTANTIATE(rms_norm_parameter_gradient)
METATT_INSTANTIATE(softmax_cross_entropy)
METATT_INSTANTIATE(mean_squared_error)
METATT_INSTANTIATE(scale_by)
METATT_INSTANTIATE(embedding_forward)
METATT_INSTANTIATE(embedding_backward)
METATT_INSTANTIATE(scatter_add_rows)
METATT_INSTANTIATE(dropout)
METATT_INSTANTIATE(adamw)

#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff::reference
