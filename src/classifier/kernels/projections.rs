//! What attention reads: queries, keys and values of its input.

use candle_core::{Result, Tensor};

use super::{Linear, Place, Precision};

/// The layers that make queries, keys and values, in as few products as the device runs best.
#[cfg_attr(feature = "cuda", expect(clippy::large_enum_variant, reason = "a model has one a layer"))]
pub enum Projections {
    /// On the CPU: the queries, and keys and values side by side.
    Packed {
        /// `[hidden] → [hidden]`
        query: Linear,
        /// `[hidden] → [2 · hidden]`
        key_value: Linear,
    },
    /// On a GPU: all three side by side, and, sharing the weights, as above for queries of some rows alone.
    #[cfg(feature = "cuda")]
    Gpu {
        /// `[hidden] → [3 · hidden]`
        all: super::cuda::GpuLinear,
        /// `[hidden] → [hidden]`
        query: super::cuda::GpuLinear,
        /// `[hidden] → [2 · hidden]`
        key_value: super::cuda::GpuLinear,
    },
}

impl Projections {
    /// Lays out the layers of queries, keys and values, each of a weight `[hidden, hidden]` and a bias `[hidden]`.
    ///
    /// # Errors
    /// As for [`Linear::new`].
    pub fn new(
        weights: &[Tensor; 3],
        biases: &[Tensor; 3],
        reach: Option<&Tensor>,
        precision: Precision,
        place: &Place,
    ) -> Result<Self> {
        let join = |range: std::ops::Range<usize>| -> Result<Linear> {
            let weight = Tensor::cat(&weights[range.clone()], 0)?;
            Linear::new(&weight, &Tensor::cat(&biases[range], 0)?, reach, precision, place)
        };
        match place {
            Place::Cpu => Ok(Self::Packed { query: join(0..1)?, key_value: join(1..3)? }),
            #[cfg(feature = "cuda")]
            Place::Gpu(_) => match join(0..3)? {
                Linear::Gpu(all) => {
                    let hidden = weights[0].dim(0)?;
                    Ok(Self::Gpu { query: all.outputs(0..hidden)?, key_value: all.outputs(hidden..3 * hidden)?, all })
                }
                Linear::Packed(_) => candle_core::bail!("projections: a layer for the GPU lies on the CPU"),
            },
        }
    }

    /// Queries `[query rows, hidden]` of `queries`, or of all of `x` if there are none; keys left of values
    /// `[rows, 2 · hidden]` of `x`. Either may be columns of a wider matrix.
    ///
    /// # Errors
    /// When an input has another width, or is of another type or device than the layers.
    pub fn forward(&self, queries: Option<&Tensor>, x: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Packed { query, key_value } => Ok((query.forward(queries.unwrap_or(x))?, key_value.forward(x)?)),
            #[cfg(feature = "cuda")]
            Self::Gpu { all, query, key_value } => match queries {
                Some(queries) => Ok((query.forward(queries)?, key_value.forward(x)?)),
                None => {
                    let all = all.forward(x)?;
                    let hidden = all.dim(1)? / 3;
                    Ok((all.narrow(1, 0, hidden)?, all.narrow(1, hidden, 2 * hidden)?))
                }
            },
        }
    }
}
