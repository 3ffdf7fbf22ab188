//! Embeddings on the CPU: a text's words are gathered, and summed with its positions and normalized while they are in a cache.

use candle_core::{Device, Result, Tensor, bail};

use super::{EmbeddingWeights, LayerNorm, Team, tensor_slice};

/// What turns token ids into the first layer's input.
pub struct Embedding {
    words: Tensor,
    positions: Tensor,
    norm: LayerNorm,
}

impl Embedding {
    /// # Errors
    /// When the tables are not contiguous f32 on the CPU, or they and the norm have different widths.
    pub fn new(weights: EmbeddingWeights, epsilon: f32) -> Result<Self> {
        let EmbeddingWeights { words, positions, norm } = weights;
        let norm = LayerNorm::new(&norm.weight, &norm.bias, epsilon)?;
        if [words.dims2()?.1, positions.dims2()?.1] != [norm.width(); 2] {
            bail!("embeddings {:?} and {:?} with a norm of {}", words.shape(), positions.shape(), norm.width());
        }
        for table in [&words, &positions] {
            let (storage, layout) = table.storage_and_layout();
            tensor_slice(&storage, layout)?;
        }
        Ok(Self { words, positions, norm })
    }

    /// The norm of its outputs.
    pub const fn norm(&self) -> &LayerNorm {
        &self.norm
    }

    /// `[tokens, hidden]`, the sequences one after the other.
    ///
    /// # Errors
    /// When there is no word of an id, or no position of a token.
    pub fn forward(&self, sequences: &[&[u32]], team: &Team) -> Result<Tensor> {
        let hidden = self.norm.width();
        let tokens = sequences.iter().map(|sequence| sequence.len()).sum::<usize>();
        let mut x: Vec<f32> = Vec::with_capacity(tokens * hidden);
        let ((words, of_words), (positions, of_positions)) =
            (self.words.storage_and_layout(), self.positions.storage_and_layout());
        let (words, positions) = (tensor_slice(&words, of_words)?, tensor_slice(&positions, of_positions)?);
        for sequence in sequences {
            let first = x.len();
            for id in *sequence {
                match words.chunks_exact(hidden).nth(*id as usize) {
                    Some(word) => x.extend_from_slice(word),
                    None => bail!("token id {id} of {}", words.len() / hidden),
                }
            }
            let x = &mut x[first..];
            match positions.get(..x.len()) {
                Some(positions) => self.norm.add_rows(x, positions, team),
                None => bail!("{} tokens of {}", sequence.len(), positions.len() / hidden),
            }
        }
        Tensor::from_vec(x, (tokens, hidden), &Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    fn weights(vocabulary: usize, longest: usize, hidden: usize) -> Result<EmbeddingWeights> {
        let random = |shape: &[usize]| Tensor::randn(0f32, 1f32, shape, &Device::Cpu);
        let norm = Affine { weight: random(&[hidden])?, bias: random(&[hidden])? };
        Ok(EmbeddingWeights { words: random(&[vocabulary, hidden])?, positions: random(&[longest, hidden])?, norm })
    }

    #[test]
    fn equals_candle() -> Result<()> {
        let EmbeddingWeights { words, positions, norm: Affine { weight, bias } } = weights(50, 11, 24)?;
        // As a checkpoint's table is that has rows before the first token's.
        let positions = positions.narrow(0, 2, 9)?;
        let norm = Affine { weight: weight.clone(), bias: bias.clone() };
        let own = EmbeddingWeights { words: words.clone(), positions: positions.clone(), norm };
        let own = Embedding::new(own, 1e-12)?;
        let (whole, ids): ([u32; 9], Vec<u32>) = ([0, 49, 7, 7, 3, 1, 2, 48, 5], vec![6, 49]);
        let sequences: [&[u32]; 4] = [&whole, &ids, &[], &[11]];
        let at: Vec<u32> = sequences.iter().flat_map(|sequence| 0..sequence.len() as u32).collect();
        let words = words.index_select(&Tensor::new(sequences.concat(), &Device::Cpu)?, 0)?;
        let positions = positions.index_select(&Tensor::new(at, &Device::Cpu)?, 0)?;
        let plain = candle_nn::ops::layer_norm_slow(&(words + positions)?, &weight, &bias, 1e-12)?;
        let x = own.forward(&sequences, &Team::alone())?;
        assert_eq!(x.dims(), [12, 24]);
        assert!(crate::testing::max_difference(&x, &plain)? < 2e-5);
        assert_eq!(own.forward(&[], &Team::alone())?.dims(), [0, 24]);
        Ok(())
    }

    #[test]
    fn refuses_what_it_has_no_rows_for() -> Result<()> {
        let own = Embedding::new(weights(50, 4, 8)?, 1e-12)?;
        let error = |sequence: &[u32]| own.forward(&[sequence], &Team::alone()).err().map(|e| e.to_string());
        assert!(error(&[50]).is_some_and(|e| e.starts_with("token id 50 of 50")));
        assert!(error(&[1; 5]).is_some_and(|e| e.starts_with("5 tokens of 4")));
        assert_eq!(error(&[49; 4]), None);
        let mut other = weights(50, 4, 8)?;
        other.positions = weights(1, 4, 7)?.positions;
        assert!(Embedding::new(other, 1e-12).is_err());
        Ok(())
    }
}
