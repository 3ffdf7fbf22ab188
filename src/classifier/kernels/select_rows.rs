//! Rows of a table by number.

#[cfg(feature = "cuda")]
use candle_core::{CpuStorage, CustomOp2, Layout, Shape, bail};
use candle_core::{Result, Tensor};

/// `table [rows, width]` → `[ids, width]`, row `ids[i]` for row `i`. The ids are u32 and below `rows`.
///
/// # Errors
/// When a tensor has another shape or type, or, on the CPU, an id is out of range.
pub fn select_rows(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if table.device().is_cuda() {
        return table.apply_op2_no_bwd(ids, &SelectRows);
    }
    table.index_select(ids, 0)
}

#[cfg(feature = "cuda")]
struct SelectRows;

#[cfg(feature = "cuda")]
impl CustomOp2 for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("candle has this on the CPU")
    }

    fn cuda_fwd(
        &self,
        table: &candle_core::CudaStorage,
        table_layout: &Layout,
        ids: &candle_core::CudaStorage,
        ids_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::select_rows(table, table_layout, ids, ids_layout)
    }
}
