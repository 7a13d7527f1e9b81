#include <metatt/tn/files/tensor_files.hpp>

#include <metatt/tn/files/parts.hpp>

namespace metatt::tn {

namespace {

constexpr const char* block_tensor = "BlockTensor";
constexpr const char* tensor_train = "TensorTrain";

void save_symmetry(Hdf5Writer& file, const std::string& name, const Symmetry& symmetry) {
  std::vector<std::string> names;
  std::vector<std::int32_t> moduli;
  for (const ConservedQuantity& quantity : symmetry.quantities()) {
    names.push_back(quantity.name);
    moduli.push_back(quantity.modulus);
  }
  file.write(name + "/quantities", names);
  file.write<std::int32_t>(name + "/moduli", {static_cast<Index>(moduli.size())}, moduli);
}

Symmetry load_symmetry(const Hdf5Reader& file, const std::string& name) {
  const auto names = file.read_texts(name + "/quantities");
  const auto moduli =
      file.read_values<std::int32_t>(name + "/moduli", static_cast<Index>(names.size()));
  if (names.empty()) return {};
  std::vector<ConservedQuantity> quantities;
  for (std::size_t i = 0; i < names.size(); ++i) quantities.push_back({names[i], moduli[i]});
  return Symmetry(std::move(quantities));
}

void save_legs(Hdf5Writer& file, const std::string& name, const std::vector<Leg>& legs) {
  const auto quantities = static_cast<Index>(legs.front().symmetry().quantities().size());
  std::vector<std::int32_t> directions, charges;
  std::vector<Index> counts, dimensions;
  for (const Leg& leg : legs) {
    directions.push_back(leg.direction() == Direction::in ? 1 : -1);
    counts.push_back(leg.sector_count());
    for (const Sector& sector : leg.sectors()) {
      dimensions.push_back(sector.dimension);
      const auto& values = sector.charge.values;
      charges.insert(charges.end(), values.begin(), values.begin() + quantities);
    }
  }
  const auto order = static_cast<Index>(legs.size()),
             sectors = static_cast<Index>(dimensions.size());
  file.write<std::int32_t>(name + "/directions", {order}, directions);
  file.write<Index>(name + "/sector_counts", {order}, counts);
  file.write<Index>(name + "/dimensions", {sectors}, dimensions);
  file.write<std::int32_t>(name + "/charges", {sectors, quantities}, charges);
}

std::vector<Leg> load_legs(const Hdf5Reader& file, const std::string& name) {
  const Symmetry symmetry = load_symmetry(file, name);
  const std::size_t quantities = symmetry.quantities().size();
  const auto counts = file.read<Index>(name + "/sector_counts").values;
  const auto directions =
      file.read_values<std::int32_t>(name + "/directions", static_cast<Index>(counts.size()));
  const auto dimensions = file.read<Index>(name + "/dimensions").values;
  const auto charges = file.read_values<std::int32_t>(
      name + "/charges", static_cast<Index>(dimensions.size() * quantities));
  if (counts.empty()) fail("has no legs");
  std::vector<Leg> legs;
  std::size_t next = 0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] < 1 || static_cast<std::size_t>(counts[k]) > dimensions.size() - next)
      fail("leg ", k, " has ", counts[k], " sectors, of which ", dimensions.size() - next,
           " are there");
    std::vector<Sector> sectors;
    for (Index i = 0; i < counts[k]; ++i, ++next) {
      const std::span values(charges.data() + next * quantities, quantities);
      sectors.push_back({symmetry.charge(values), dimensions[next]});
    }
    legs.emplace_back(symmetry, std::move(sectors),
                      directions[k] > 0 ? Direction::in : Direction::out);
  }
  if (next != dimensions.size())
    fail("has ", dimensions.size(), " sectors, of which its legs use ", next);
  return legs;
}

template <class T>
void load_blocks(const Hdf5Reader& file, const std::string& name, BlockTensor<T>& tensor) {
  const auto order = static_cast<std::size_t>(tensor.order());
  const auto keys = file.read<Index>(name + "/blocks").values;
  const auto elements = file.read<T>(name + "/elements").values;
  if (keys.size() % order != 0) fail("has ", keys.size(), " block indices for ", order, " legs");
  std::span<const T> rest(elements);
  for (std::size_t i = 0; i < keys.size(); i += order) {
    const auto first = keys.begin() + static_cast<std::ptrdiff_t>(i);
    const BlockKey key(first, first + static_cast<std::ptrdiff_t>(order));
    for (std::size_t leg = 0; leg < order; ++leg)
      if (key[leg] < 0 || key[leg] >= tensor.leg(static_cast<int>(leg)).sector_count())
        fail("has a block in sector ", key[leg], " of leg ", leg, ", which has ",
             tensor.leg(static_cast<int>(leg)).sector_count());
    const Shape shape = tensor.block_shape(key);
    const auto count = static_cast<std::size_t>(element_count(shape));
    if (count > rest.size()) fail("has ", elements.size(), " elements, too few for its blocks");
    tensor.set_block(key, Tensor<T>::from(shape, rest.first(count)));
    rest = rest.subspan(count);
  }
  if (!rest.empty()) fail("has ", elements.size(), " elements, more than its blocks");
}

}  // namespace

template <class T>
void save(Hdf5Writer& file, const std::string& name, const BlockTensor<T>& tensor) {
  file.describe(name, "kind", block_tensor);
  save_symmetry(file, name, tensor.leg(0).symmetry());
  save_legs(file, name, tensor.legs());
  std::vector<Index> keys;
  std::vector<T> elements;
  elements.reserve(static_cast<std::size_t>(tensor.stored_elements()));
  for (const auto& [key, block] : tensor.blocks()) {
    keys.insert(keys.end(), key.begin(), key.end());
    const std::vector<T> values = block.to_vector();
    elements.insert(elements.end(), values.begin(), values.end());
  }
  const auto blocks = static_cast<Index>(tensor.blocks().size());
  file.write<Index>(name + "/blocks", {blocks, tensor.order()}, keys);
  file.write<T>(name + "/elements", {static_cast<Index>(elements.size())}, elements);
}

template <class T>
BlockTensor<T> load_block_tensor(const Hdf5Reader& file, const std::string& name) {
  file.expect_kind(name, block_tensor);
  return naming(file, name, [&] {
    BlockTensor<T> tensor(load_legs(file, name));
    load_blocks(file, name, tensor);
    return tensor;
  });
}

template <class T>
void save(Hdf5Writer& file, const std::string& name, const TensorTrain<T>& train) {
  file.describe(name, "kind", tensor_train);
  file.describe(name, "legs", "left bond (in), mode (in), right bond (out)");
  file.write(name + "/length", train.length());
  file.write(name + "/center", train.center().value_or(-1));
  for (Index k = 0; k < train.length(); ++k) save(file, core_name(name, k), train.core(k));
}

template <class T>
TensorTrain<T> load_tensor_train(const Hdf5Reader& file, const std::string& name) {
  file.expect_kind(name, tensor_train);
  const Index length = file.read_number<Index>(name + "/length"),
              center = file.read_number<Index>(name + "/center");
  std::vector<BlockTensor<T>> cores;
  for (Index k = 0; k < length; ++k)
    cores.push_back(load_block_tensor<T>(file, core_name(name, k)));
  return naming(file, name, [&] {
    return center < 0 ? TensorTrain<T>(std::move(cores))
                      : TensorTrain<T>::canonical(std::move(cores), center);
  });
}

#define METATT_INSTANTIATE(T)                                                       \
  template void save(Hdf5Writer&, const std::string&, const BlockTensor<T>&);       \
  template void save(Hdf5Writer&, const std::string&, const TensorTrain<T>&);       \
  template BlockTensor<T> load_block_tensor(const Hdf5Reader&, const std::string&); \
  template TensorTrain<T> load_tensor_train(const Hdf5Reader&, const std::string&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
