#include <metatt/autodiff/ops_embedding.hpp>

namespace metatt::autodiff {

template <class T>
Variable<T> embedding(Tape<T>& tape, std::span<const EmbeddingLookup<T>> lookups) {
  if (lookups.empty()) tn::fail("embedding: there is no table");
  const Index tokens = lookups[0].ids.size(), width = lookups[0].table.value.extent(-1);
  for (const auto& lookup : lookups)
    if (lookup.table.value.order() != 2 || lookup.table.value.extent(1) != width ||
        lookup.ids.size() != tokens)
      tn::fail("embedding: expected tables of width ", width, " and ", tokens, " ids each, found ",
               tn::shape_text(lookup.table.value.shape()), " and ", lookup.ids.size(), " ids");
  Tensor<T> out({tokens, width});
  bool tracked = false;
  for (std::size_t i = 0; i < lookups.size(); ++i) {
    backend::embedding_forward(tn::backend::queue(), tokens, width, lookups[i].ids.data(),
                               lookups[i].table.value.data(), i > 0, out.mutable_data());
    tracked = tracked || lookups[i].table.tracked();
  }
  const Variable<T> any{{}, tracked ? 0 : -1};
  const std::vector<EmbeddingLookup<T>> kept(lookups.begin(), lookups.end());
  return tape.record("embedding", std::move(out), {&any},
                     [kept, tokens, width](Gradients<T>& gradients, Tensor<T>& dout) {
                       for (const auto& lookup : kept)
                         gradients.add_into(lookup.table, [&](T* dtable) {
                           backend::embedding_backward(tn::backend::queue(), tokens, width,
                                                       lookup.table.value.extent(0),
                                                       lookup.ids.data(), dout.data(), dtable);
                         });
                     });
}

template <class T>
Variable<T> gather_rows(Tape<T>& tape, const Variable<T>& x, const Indices& rows) {
  if (x.value.order() < 2)
    tn::fail("gather_rows: expected x (n × width), found ", tn::shape_text(x.value.shape()));
  const Index width = x.value.shape().back(), count = rows.size();
  Tensor<T> out({count, width});
  backend::embedding_forward(tn::backend::queue(), count, width, rows.data(), x.value.data(), false,
                             out.mutable_data());
  const Variable<T> source{{}, x.node};
  return tape.record("gather_rows", std::move(out), {&x},
                     [source, rows, count, width](Gradients<T>& gradients, Tensor<T>& dout) {
                       gradients.add_into(source, [&](T* dx) {
                         backend::scatter_add_rows(tn::backend::queue(), count, width, rows.data(),
                                                   dout.data(), dx);
                       });
                     });
}

#define METATT_INSTANTIATE(T)                                                    \
  template Variable<T> embedding(Tape<T>&, std::span<const EmbeddingLookup<T>>); \
  template Variable<T> gather_rows(Tape<T>&, const Variable<T>&, const Indices&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
