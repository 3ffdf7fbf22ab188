//! The kernels on a GPU: products by cuBLAS and cuBLASLt, and our own kernels where candle has none that fits.
//!
//! Each kernel of `kernels.cu` is the twin of a CPU kernel beside this folder, and is called by the same custom op.
//! All work of a GPU goes through one stream, in the order in which it is put there. What others use of this module has its
//! like in `no_cuda.rs`.

mod functions;
mod gpu;
mod launch;
mod libraries;
mod linear;
mod self_attention;
mod staging;

pub use gpu::Gpu;
pub use linear::GpuLinear;
pub use self_attention::GpuAttention;
pub use staging::Download;

use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::LaunchConfig;
use candle_core::{DType, Layout, Result, Shape, bail};

use self::launch::{Argument, Launch, address, dtype, empty, grid, int};
use super::{Activation, Ragged};

/// Whether this build knows GPUs.
pub const AVAILABLE: bool = true;

/// As in `kernels.cu`.
const WARP: u32 = 32;
const WARPS: u32 = 4;
const QUERIES: u32 = 32;
const KEYS: u32 = 32;

/// The widest head that [`attention`] takes: the shared memory of a block holds no more.
pub const MAX_HEAD_WIDTH: usize = 96;

/// The most values of a row that [`add_layer_norm`] takes: a warp keeps them in shared memory.
const MAX_NORM_WIDTH: usize = 12_288;

/// `y ← f(y + bias)` in place, over `y [rows, width]`.
///
/// # Errors
/// When the shapes or types disagree, or the GPU fails.
pub fn bias_activation(
    y: &mut CudaStorage,
    y_layout: &Layout,
    bias: &CudaStorage,
    bias_layout: &Layout,
    activation: Activation,
) -> Result<()> {
    let (rows, width) = y_layout.shape().dims2()?;
    let whole = y_layout.is_contiguous() && bias_layout.is_contiguous() && dtype(y) == dtype(bias);
    if !whole || bias_layout.dims() != [width] {
        bail!("bias_activation: {y_layout:?} with {bias_layout:?}");
    }
    if rows == 0 {
        return Ok(());
    }
    let values = rows * width;
    // Four values a thread, and threads go on in steps of the grid: more blocks than a card runs at once gain nothing.
    let config = grid(values.div_ceil(4).min(1 << 20), 256, 256, 0)?;
    let device = y.device.clone();
    let launch = Launch { device: &device, name: format!("bias_activation_{}", dtype(y).as_str()), config };
    let arguments = [
        Argument::Address(address(y, y_layout)?),
        Argument::Address(address(bias, bias_layout)?),
        Argument::Long(values as i64),
        int(width)?,
        Argument::Int(activation as i32),
    ];
    // SAFETY: the kernel's own arguments; `y` holds rows × width values, `bias` width.
    unsafe { launch.run(&arguments) }
}

/// [`super::add_layer_norm`] on a GPU. `affine` is f32.
///
/// # Errors
/// When the types disagree, a row is too wide, or the GPU fails.
pub fn add_layer_norm(
    x: &mut CudaStorage,
    x_layout: &Layout,
    residual: &CudaStorage,
    residual_layout: &Layout,
    affine: &CudaStorage,
    affine_layout: &Layout,
    epsilon: f32,
) -> Result<()> {
    let (rows, width) = x_layout.shape().dims2()?;
    let whole = [x_layout, residual_layout, affine_layout].iter().all(|l| l.is_contiguous());
    if !whole || dtype(x) != dtype(residual) || dtype(affine) != DType::F32 || width > MAX_NORM_WIDTH {
        bail!("add_layer_norm: {x_layout:?} with {residual_layout:?} and {affine_layout:?}");
    }
    if rows == 0 {
        return Ok(());
    }
    // Wide rows: fewer warps a block, so that their shared memory stays within what every card has.
    let warps = (MAX_NORM_WIDTH / width.max(1)).clamp(1, WARPS as usize);
    let config = grid(rows, warps, warps as u32 * WARP, warps * width * size_of::<f32>())?;
    let device = x.device.clone();
    let launch = Launch { device: &device, name: format!("add_layer_norm_{}", dtype(x).as_str()), config };
    let arguments = [
        Argument::Address(address(x, x_layout)?),
        Argument::Address(address(residual, residual_layout)?),
        Argument::Address(address(affine, affine_layout)?),
        int(rows)?,
        int(width)?,
        Argument::Float(epsilon),
    ];
    // SAFETY: the kernel's own arguments; both matrices hold rows × width values, `affine` 2 × width, as the op checked.
    unsafe { launch.run(&arguments) }
}

/// [`super::select_rows()`] on a GPU. The ids are below the table's rows: the kernel does not look.
///
/// # Errors
/// When the shapes or types disagree, or the GPU fails.
pub fn select_rows(
    table: &CudaStorage,
    table_layout: &Layout,
    ids: &CudaStorage,
    ids_layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    let (_, width) = table_layout.shape().dims2()?;
    let count = ids_layout.shape().dims1()?;
    if !table_layout.is_contiguous() || !ids_layout.is_contiguous() || dtype(ids) != DType::U32 {
        bail!("select_rows: {ids_layout:?} of {table_layout:?}");
    }
    let device = table.device.clone();
    let values = count * width;
    let out = empty(table, values)?;
    let shape = Shape::from((count, width));
    if values == 0 {
        return Ok((out, shape));
    }
    let config = grid(values.div_ceil(4).min(1 << 20), 256, 256, 0)?;
    let name = format!("select_rows_{}", dtype(table).as_str());
    let arguments = [
        Argument::Address(address(table, table_layout)?),
        Argument::Address(address(ids, ids_layout)?),
        Argument::Address(address(&out, &Layout::contiguous(&shape))?),
        Argument::Long(values as i64),
        int(width)?,
    ];
    // SAFETY: the kernel's own arguments; `out` holds count × width values, `ids` count, all of them rows of the table.
    unsafe { Launch { device: &device, name, config }.run(&arguments) }?;
    Ok((out, shape))
}

/// [`super::attention()`] on a GPU. `query` and `key_value` may be columns of a wider matrix.
///
/// # Errors
/// When the sequences are not on the GPU, a head is too wide, or the GPU fails.
pub fn attention(
    query: &CudaStorage,
    query_layout: &Layout,
    key_value: &CudaStorage,
    key_value_layout: &Layout,
    (queries, keys): (&Ragged, &Ragged),
    heads: usize,
) -> Result<(CudaStorage, Shape)> {
    let (rows, hidden) = query_layout.shape().dims2()?;
    let width = hidden / heads;
    let (Some(query_starts), Some(key_starts)) = (queries.on_device(), keys.on_device()) else {
        bail!("attention: the sequences are not on the GPU");
    };
    let in_columns = |layout: &Layout| layout.stride()[1] == 1;
    if width > MAX_HEAD_WIDTH {
        bail!("attention heads of {width} columns: on a GPU they may have {MAX_HEAD_WIDTH}");
    }
    if !in_columns(query_layout) || !in_columns(key_value_layout) {
        bail!("attention: {query_layout:?} on {key_value_layout:?}");
    }
    let deepest = queries.longest().div_ceil(QUERIES as usize);
    let pitch = if width.is_multiple_of(4) { width + 4 } else { width + 1 };
    let floats = (QUERIES as usize + KEYS as usize) * width + KEYS as usize * pitch + (QUERIES * KEYS) as usize;
    let config = LaunchConfig {
        grid_dim: (queries.len() as u32, heads as u32, deepest as u32),
        block_dim: (WARPS * WARP, 1, 1),
        shared_mem_bytes: (floats * size_of::<f32>()) as u32,
    };
    let device = query.device.clone();
    let context = empty(query, rows * hidden)?;
    let shape = Shape::from((rows, hidden));
    if rows == 0 {
        return Ok((context, shape));
    }
    let name = format!("attention_{}", dtype(query).as_str());
    let key = address(key_value, key_value_layout)?;
    let size = dtype(key_value).size_in_bytes();
    let starts = |tensor: &candle_core::Tensor| {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            candle_core::Storage::Cuda(storage) => address(storage, layout),
            _ => bail!("attention: the sequences are not on the GPU"),
        }
    };
    let arguments = [
        Argument::Address(address(query, query_layout)?),
        Argument::Address(key),
        Argument::Address(key + (hidden * size) as u64),
        Argument::Address(address(&context, &Layout::contiguous(&shape))?),
        Argument::Address(starts(query_starts)?),
        Argument::Address(starts(key_starts)?),
        int(width)?,
        int(query_layout.stride()[0])?,
        int(key_value_layout.stride()[0])?,
        Argument::Float(1.0 / (width as f32).sqrt()),
    ];
    // SAFETY: the kernel's own arguments; the op checked the shapes against the sequences, whose ends the kernel respects,
    // and a row of either matrix has `stride` values after its start but the last, which has all of its own columns.
    unsafe { Launch { device: &device, name, config }.run(&arguments) }?;
    Ok((context, shape))
}

#[cfg(test)]
mod tests;
