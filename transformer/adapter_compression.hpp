#pragma once
/// Many LoRA updates as one MetaTT: their stack as a tensor, TT-SVD, rounding.

#include <metatt/tn/tensor_train.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/peft_import.hpp>
#include <metatt/transformer/rank_schedule.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

/// The updates of all tasks as one train.
struct CompressedUpdates {
  AdapterSettings settings;        ///< of the adapter with these cores: α = 1
  tn::TensorTrain<double> train;   ///< in canonical form, centre at the last core
  std::vector<std::string> bonds;  ///< what lies on both sides of each: "input | layer"
  /// Of each bond the values before the cut, and what the sweep cut there, of a train that it had
  /// already cut further left.
  std::vector<tn::BondSpectrum> spectra;
  double error_bound = 0;  ///< √Σ discarded σ², on the root of all sites' squared errors
};

/// Compresses the updates of one task (kind "metatt4d" or "metatt4+1d") or of several
/// ("metatt4+1d") to what `target` asks for. A rank is the largest that a bond may have.
///
/// The tensor ΔW[t, l, m]ᵀ (D_in × L × T × M × D_out, smaller matrices in the leading rows and
/// columns, zero where a task does not adapt a matrix) is never formed. The factors A of all sites,
/// one below the other, are L_A·Q with p = min(ΣR, D_in) orthonormal rows Q, R the ranks; so are
/// all Bᵀ with q of them. What is decomposed (Oseledets 2011, doi:10.1137/090752286: TT-SVD to
/// the last digit, then rounding) is the middle p × L × T × M × q, whose errors are those of the
/// whole because the bases are orthonormal. Memory: about eight times p·L·T·M·q doubles and the
/// stacks ΣR·(D_in + D_out); time of order p·L·T·M·q · min(p·L, T·M·q).
///
/// Throws Error on another kind, several tasks without a task mode, updates that are all zero or
/// not finite, another number of ranks than bonds, and a budget below rank one.
CompressedUpdates compress_updates(std::span<const LoraUpdates> tasks, const std::string& kind,
                                   const ModelConfig& config, const RankTarget& target);

/// The base model in a folder with the compressed adapter and, of a record for tasks of GLUE, the
/// saved head of each; fills in the record's method, pooler and fingerprint, and a max_seq_length
/// of 0. Throws Error if the base has no next-token head where the record says so, on tensors of a
/// head that are missing, of another shape, or that the model does not train, and on poolers of
/// several tasks, which an adapter shares.
template <class T>
std::unique_ptr<AdaptedModel<T>> compressed_model(const std::filesystem::path& base,
                                                  const CompressedUpdates& compressed,
                                                  std::span<const PeftLora> adapters,
                                                  AdapterRecord& record);

/// How much of one update an adapter has lost, in Frobenius norms.
struct SiteError {
  Index task, layer;
  MatrixType type;
  double norm;   ///< ‖ΔW‖
  double error;  ///< ‖ΔW − that of the adapter‖
};

/// Of every matrix that the adapter has, task by task, layer by layer; a matrix without an update
/// has norm 0. From the factors: both updates side by side are X·Y with R + r columns and rows, and
/// the norm is that of the product of the triangular factors of X and Y, without the loss of half
/// the digits that ‖ΔW‖² − 2⟨ΔW, ·⟩ + … would bring. Cost of order D·(R + r)² a matrix.
template <class T>
std::vector<SiteError> site_errors(std::span<const LoraUpdates> tasks, const Adapter<T>& adapter,
                                   const ModelConfig& config);

/// The norm of all sites together, and the error.
struct TotalError {
  double norm = 0, error = 0;
};
TotalError total_error(std::span<const SiteError> sites);

}  // namespace metatt::transformer
