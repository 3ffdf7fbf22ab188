//! Rows of a table by number.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::cuda;

/// `table [rows, width]` → `[ids, width]`, row `ids[i]` for row `i`. The ids are u32 and below `rows`.
///
/// # Errors
/// When a tensor has another shape or type, or, on the CPU, an id is out of range.
pub fn select_rows(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    if table.device().is_cuda() {
        return table.apply_op2_no_bwd(ids, &SelectRows);
    }
    table.index_select(ids, 0)
}

struct SelectRows;

impl CustomOp2 for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("candle has this on the CPU")
    }

    fn cuda_fwd(
        &self,
        table: &CudaStorage,
        table_layout: &Layout,
        ids: &CudaStorage,
        ids_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::select_rows(table, table_layout, ids, ids_layout)
    }
}
