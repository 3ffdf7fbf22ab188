//! A report for people.

use std::fmt;

use super::card::Card;
use super::report::Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let card = self.card.as_ref().map_or(String::new(), |card| format!(", {card}"));
        writeln!(f, "textflight {} on {}{card}", self.textflight, self.device)?;
        if let Some(facts) = &self.facts {
            writeln!(f, "{facts}")?;
        }
        self.agreement(f)?;
        self.products(f)?;
        self.speed(f)?;
        self.kernels(f)
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capability, multiprocessors, memory_gib, clock_mhz, memory_clock_mhz, driver, code } = self;
        write!(
            f,
            "Compute capability {capability}, {multiprocessors} multiprocessors, {memory_gib:.1} GiB, up to {clock_mhz} MHz, "
        )?;
        write!(f, "memory {memory_clock_mhz} MHz; the driver has {driver}, the kernels run as {code}")
    }
}

/// A number of microseconds, where there is one.
fn us(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.0}"))
}

impl Report {
    fn agreement(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n| dtype | labels equal to f32 on the CPU | largest difference of a logit | allowed | of a confidence | | kernels |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for a in &self.agreement {
            let verdict = if a.enough { "good" } else { "TOO FAR" };
            writeln!(
                f,
                "| {} | {} of {} | {:.2e} | {:.2e} | {:.2e} | {verdict} | {} |",
                a.dtype,
                a.labels_equal,
                a.texts,
                a.max_logit_difference,
                a.logit_bound,
                a.max_confidence_difference,
                a.kernels
            )?;
        }
        Ok(())
    }

    fn products(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| dtype | the device's own product of random matrices, TFLOP/s |")?;
        writeln!(f, "|---|---|")?;
        self.product.iter().try_for_each(|p| writeln!(f, "| {} | {:.3} |", p.dtype, p.tflops))
    }

    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n| dtype | mean tokens | batch rows | median rows | median tokens | host µs | rows/s | useful TFLOP/s | of the product |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for s in &self.speed {
            let usual = if s.usual { " (usual)" } else { "" };
            writeln!(
                f,
                "| {} | {} | {}{usual} | {} | {} | {} | {:.0} | {:.3} | {:.0} % |",
                s.dtype,
                s.mean_tokens,
                s.batch_rows,
                s.median_rows,
                s.median_tokens,
                us(s.host_us),
                s.rows_per_second,
                s.useful_tflops,
                100.0 * s.utilization
            )?;
        }
        Ok(())
    }

    /// Nothing on the CPU.
    fn kernels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernels.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| dtype | mean tokens | median rows | median tokens | kernels | calls a forward | µs a forward |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for k in &self.kernels {
            for kind in &k.kinds {
                writeln!(
                    f,
                    "| {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                    k.dtype, k.mean_tokens, k.median_rows, k.median_tokens, kind.kind, kind.calls, kind.us
                )?;
            }
        }
        Ok(())
    }
}
