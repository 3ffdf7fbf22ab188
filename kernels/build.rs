//! Nothing to do for a build without the feature `cuda`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    cuda::build();
}

/// What a CUDA build needs besides cudarc: our own kernels, compiled, and CUDA's libraries looked up at run time.
#[cfg(feature = "cuda")]
#[expect(clippy::expect_used, reason = "a build script has nobody else to tell")]
mod cuda {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs};

    const SOURCES: &str = "src/cuda";

    /// Functions that cudarc links, by the library that has them.
    struct Library {
        header: &'static str,
        prefix: &'static str,
        /// The status that a function answers while its library is not loaded, which says as much.
        missing: u32,
    }

    /// By their numbers in libraries.rs.
    const LIBRARIES: [Library; 2] = [
        Library { header: "cuda.h", prefix: "cu", missing: 34 },
        Library { header: "cublasLt.h", prefix: "cublasLt", missing: 1 },
    ];

    pub fn build() {
        for variable in ["CUDA_HOME", "CUDA_PATH", "TEXTFLIGHT_CUDA_ARCHITECTURES", "TEXTFLIGHT_CUDA_FATBIN"] {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        // The device's sources alone: they take as long as all of the others.
        for source in ["device", "kernels.cu", "libraries.c"] {
            println!("cargo::rerun-if-changed={SOURCES}/{source}");
        }
        let home = env::var_os("CUDA_HOME").or_else(|| env::var_os("CUDA_PATH")).map(PathBuf::from).expect(
            "the feature cuda is built with a CUDA toolkit at CUDA_HOME: eval \"$(tools/cuda-toolchain)\" fetches one",
        );
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        kernels(&home, &out);
        libraries(&home, &out);
    }

    /// Puts our kernels into a fatbin: code for each architecture that is asked for, and PTX of the last one, which a driver
    /// compiles for what is newer. `tools/cuda-architectures` makes one for all, which is taken as it is.
    fn kernels(home: &Path, out: &Path) {
        let fatbin = out.join("kernels.fatbin");
        let architectures = if let Some(ready) = env::var_os("TEXTFLIGHT_CUDA_FATBIN").map(PathBuf::from) {
            println!("cargo::rerun-if-changed={}", ready.display());
            fs::copy(&ready, &fatbin).unwrap_or_else(|e| panic!("{}: {e}", ready.display()));
            let list = fs::read_to_string(ready.with_extension("architectures"));
            list.unwrap_or_else(|e| panic!("{}: {e}", ready.with_extension("architectures").display()))
        } else {
            // A T4's, and what has bf16 and the larger products on tensor cores.
            let list = env::var("TEXTFLIGHT_CUDA_ARCHITECTURES").unwrap_or_else(|_| "75 80".to_owned());
            compile(home, &list, &fatbin);
            list
        };
        let architectures: Vec<&str> = architectures.split_whitespace().collect();
        println!("cargo::rustc-env=TEXTFLIGHT_CUDA_ARCHITECTURES={}", architectures.join(" "));
    }

    fn compile(home: &Path, architectures: &str, fatbin: &Path) {
        let source = format!("{SOURCES}/kernels.cu");
        let mut nvcc = Command::new(home.join("bin/nvcc"));
        // Not compressed: other releases of CUDA do that in ways that a driver of the first one does not know.
        nvcc.args(["--fatbin", "--std=c++17", "-O3", "--no-compress", "--threads=0", &source, "-o"]).arg(fatbin);
        for architecture in architectures.split_whitespace() {
            nvcc.arg(format!("--generate-code=arch=compute_{architecture},code=sm_{architecture}"));
        }
        let last = architectures.split_whitespace().last().expect("TEXTFLIGHT_CUDA_ARCHITECTURES names one at least");
        nvcc.arg(format!("--generate-code=arch=compute_{last},code=compute_{last}"));
        assert!(nvcc.status().is_ok_and(|status| status.success()), "nvcc cannot compile {source}");
    }

    /// Defines the functions of CUDA's libraries as jumps through a table, which `libraries.c` fills when a GPU is asked
    /// for. So the binary starts on a machine without a driver, and can say that there is none.
    fn libraries(home: &Path, out: &Path) {
        let mut jumps = Jumps::default();
        for library in &LIBRARIES {
            let header = home.join("include").join(library.header);
            let text = fs::read_to_string(&header).unwrap_or_else(|e| panic!("{}: {e}", header.display()));
            jumps.add(library, &functions(&text, library.prefix));
        }
        let source = out.join("libraries.S");
        fs::write(&source, jumps.assembly()).expect("cargo's folder is writable");
        cc::Build::new().file(&source).file(format!("{SOURCES}/libraries.c")).compile("textflight_cuda_libraries");
    }

    /// Names in a header that may be functions: a jump too many does no harm.
    fn functions(header: &str, prefix: &str) -> BTreeSet<String> {
        let named = |word: &&str| {
            word.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(named).map(str::to_owned).collect()
    }

    /// The table, and for each function a jump through it: lines of assembly, by section.
    #[derive(Default)]
    struct Jumps {
        code: Vec<String>,
        table: Vec<String>,
        names: Vec<String>,
        libraries: Vec<String>,
        seen: BTreeSet<String>,
    }

    impl Jumps {
        fn add(&mut self, library: &Library, functions: &BTreeSet<String>) {
            let target = Target::of_build();
            let first = self.seen.len();
            let missing = format!("missing_{}", library.header.replace(['.', '/'], "_"));
            self.code.push(format!("{missing}:\n {}", target.answer(library.missing)));
            for name in functions {
                let slot = format!("textflight_cuda_table + {}", self.seen.len() * 8);
                if self.seen.insert(name.clone()) {
                    self.code.push(format!(".globl {name}\n.type {name}, %function\n{name}:\n {}", target.jump(&slot)));
                    self.table.push(format!(" .quad {missing}"));
                    self.names.push(format!(" .asciz \"{name}\""));
                }
            }
            self.libraries.push(format!(" .quad {first}, {}", self.seen.len()));
        }

        fn assembly(self) -> String {
            let global = |name: &str| format!(".balign 8\n.globl textflight_cuda_{name}\ntextflight_cuda_{name}:");
            let sections = [
                (".text".to_owned(), self.code),
                (format!(".data\n{}", global("table")), self.table),
                (global("libraries"), self.libraries),
                (format!(".section .rodata\n{}", global("names")), self.names),
                (".section .note.GNU-stack, \"\", %progbits".to_owned(), Vec::new()),
            ];
            sections
                .into_iter()
                .flat_map(|(head, lines)| [vec![head], lines].concat())
                .map(|line| line + "\n")
                .collect()
        }
    }

    /// The processor that the build is for.
    enum Target {
        X86,
        Arm,
    }

    impl Target {
        fn of_build() -> Self {
            match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
                Ok("x86_64") => Self::X86,
                Ok("aarch64") => Self::Arm,
                other => panic!("the feature cuda is for x86_64 and aarch64, not for {other:?}"),
            }
        }

        /// Returns a number.
        fn answer(&self, status: u32) -> String {
            match self {
                Self::X86 => format!("mov ${status}, %eax\n ret"),
                Self::Arm => format!("mov w0, #{status}\n ret"),
            }
        }

        /// Goes on where the slot says, with all arguments as they are.
        fn jump(&self, slot: &str) -> String {
            match self {
                Self::X86 => format!("jmp *{slot}(%rip)"),
                Self::Arm => format!("adrp x16, {slot}\n ldr x16, [x16, :lo12:{slot}]\n br x16"),
            }
        }
    }
}
