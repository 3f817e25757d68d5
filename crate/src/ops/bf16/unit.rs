//! The instructions that multiply tiles, and which of them this CPU has.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::portable;
use super::tile::{EDGE, Pairing, Sums, Tile};

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Intel's tiles, from Sapphire Rapids on: a product of two tiles is one instruction.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    /// Two products a lane, of Cooper Lake and Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    Portable,
}

/// The tiles of 16 rows, or columns, of an operand, from the first one on.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub tiles: &'a [Tile],
    /// Tiles from a matrix, and from a block of the sum, to the next one.
    pub matrix: usize,
    pub block: usize,
}

impl<'a> Panel<'a> {
    #[inline(always)]
    fn at(&self, matrix: usize, block: usize) -> &'a Tile {
        &self.tiles[matrix * self.matrix + block * self.block]
    }
}

/// Blocks, from block `from` of a matrix of either operand on, that are multiplied one by one into the same sums.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Segment {
    pub a: usize,
    pub b: usize,
    pub from: usize,
    pub blocks: usize,
}

impl Segment {
    /// From the first block on.
    pub(crate) fn new(a: usize, b: usize, blocks: usize) -> Segment {
        Segment {
            a,
            b,
            from: 0,
            blocks,
        }
    }
}

/// Where the sums of two panels by two go: a0 b0, a0 b1, a1 b0 and a1 b1, each from a place in `values` on.
pub(super) struct Output<'a> {
    pub values: &'a mut [f32],
    pub at: [usize; 4],
    /// Values from a row to the next one.
    pub row: usize,
    /// Whether the sums go on from those that are there.
    pub resumed: bool,
}

impl Unit {
    /// The fastest that this CPU has.
    pub(super) fn here() -> Unit {
        static HERE: OnceLock<Unit> = OnceLock::new();
        *HERE.get_or_init(|| Unit::all()[0])
    }

    /// All that this CPU has, the fastest first.
    pub(super) fn all() -> Vec<Unit> {
        let mut all = Vec::new();
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if avx512::available() && amx::allowed() {
            all.push(Unit::Amx);
        }
        #[cfg(target_arch = "x86_64")]
        if avx512::available() {
            all.push(Unit::Avx512);
        }
        all.push(Unit::Portable);
        all
    }

    /// How it wants tiles to be packed.
    pub(super) fn pairing(self) -> Pairing {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => Pairing::Neighbours,
            _ => Pairing::Halves,
        }
    }

    /// Rounds a tile's values: row `i` of the pairs from two rows of values, low and high, or from `neighbours` in one row
    /// of twice the length. `second`: of what rounding leaves of them.
    pub(super) fn round<'a>(
        self,
        rows: impl Fn(usize) -> [&'a [f32; EDGE]; 2],
        neighbours: bool,
        second: bool,
        pairs: &mut [[u32; EDGE]; EDGE],
    ) {
        match self {
            Unit::Portable => {
                for (i, pairs) in pairs.iter_mut().enumerate() {
                    portable::round(rows(i), neighbours, second, pairs);
                }
            }
            // SAFETY: `here` and `all` return the others where the CPU has these instructions.
            #[cfg(target_arch = "x86_64")]
            _ => unsafe { avx512::round(rows, neighbours, second, pairs) },
        }
    }

    /// The unit, ready to multiply on this thread.
    pub(super) fn ready(self) -> Ready {
        // SAFETY: `here` and `all` return it where the system has allowed its use.
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self == Unit::Amx {
            unsafe { amx::configure() }
        }
        Ready {
            unit: self,
            here: PhantomData,
        }
    }
}

/// A unit whose registers are set up on one thread, until this is dropped.
pub(super) struct Ready {
    unit: Unit,
    /// Keeps it on its thread.
    here: PhantomData<*const ()>,
}

impl Drop for Ready {
    fn drop(&mut self) {
        // SAFETY: as in `ready`.
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self.unit == Unit::Amx {
            unsafe { amx::release() }
        }
    }
}

impl Ready {
    /// Puts the sums of the products of the segments into the output.
    ///
    /// # Panics
    /// If a segment ends behind an operand, or a row of sums behind the output.
    #[inline(always)] // see `Product::multiply`
    pub(super) fn multiply(
        &self,
        a: [Panel; 2],
        b: [Panel; 2],
        segments: &[Segment],
        output: Output,
    ) {
        let end = (EDGE - 1) * output.row + EDGE;
        assert!(output.at.iter().all(|at| at + end <= output.values.len()));
        for segment in segments.iter().filter(|segment| segment.blocks > 0) {
            let last = segment.from + segment.blocks - 1;
            a.iter().for_each(|panel| _ = panel.at(segment.a, last));
            b.iter().for_each(|panel| _ = panel.at(segment.b, last));
        }
        match self.unit {
            // SAFETY: `ready` has set the registers up on this thread. The loop above has read the last tile of each segment,
            // of two panels of one operand; the assertion has checked the output.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Unit::Amx => unsafe { amx::multiply(a, b, segments, output) },
            // SAFETY: `here` and `all` return it where the CPU has these instructions.
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => one_by_one(a, b, segments, output, |a, b, sums| unsafe {
                avx512::multiply(a, b, sums)
            }),
            Unit::Portable => one_by_one(a, b, segments, output, portable::multiply),
        }
    }
}

#[inline(never)]
fn one_by_one(
    a: [Panel; 2],
    b: [Panel; 2],
    segments: &[Segment],
    output: Output,
    multiply: impl Fn(&Tile, &Tile, &mut Sums),
) {
    for (i, at) in output.at.into_iter().enumerate() {
        let mut sums = Sums::default();
        if output.resumed {
            for (row, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&output.values[at + row * output.row..][..EDGE]);
            }
        }
        for segment in segments {
            for block in segment.from..segment.from + segment.blocks {
                let (a, b) = (a[i / 2].at(segment.a, block), b[i % 2].at(segment.b, block));
                multiply(a, b, &mut sums);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            output.values[at + row * output.row..][..EDGE].copy_from_slice(sums);
        }
    }
}

/// The compiler has no stable names for these instructions yet, its assembler has.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    use std::arch::asm;
    use std::arch::x86_64::__cpuid_count;

    use super::{EDGE, Output, Panel, Segment, Tile};

    /// Whether the CPU has them and Linux lets this process use their registers, which it wants to be asked for once
    /// (<https://docs.kernel.org/arch/x86/xstate.html>).
    pub(super) fn allowed() -> bool {
        const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
        const ARCH_PRCTL: usize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const TILE_DATA: usize = 18;
        if __cpuid_count(0, 0).eax < 7 || __cpuid_count(7, 0).edx & BF16_AND_TILES != BF16_AND_TILES
        {
            return false;
        }
        let result: isize;
        // SAFETY: a system call that takes two numbers, and overwrites rax, rcx and r11 alone.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") TILE_DATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    /// Eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIG: Config = Config {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// # Safety
    /// [`allowed`] has returned true.
    pub(super) unsafe fn configure() {
        // SAFETY: reads `CONFIG`, and sets registers up that the compiler does not use.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly)) }
    }

    /// # Safety
    /// [`allowed`] has returned true.
    pub(super) unsafe fn release() {
        // SAFETY: leaves the registers as the thread has found them, unused, so that Linux need not save them.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }

    /// Where two panels lie, and the bytes from a matrix and from a block to the next one.
    #[repr(C)]
    struct Pair {
        panels: [*const Tile; 2],
        matrix: usize,
        block: usize,
    }

    impl Pair {
        #[inline(always)]
        fn new([first, second]: [Panel; 2]) -> Pair {
            Pair {
                panels: [first.tiles.as_ptr(), second.tiles.as_ptr()],
                matrix: first.matrix * size_of::<Tile>(),
                block: first.block * size_of::<Tile>(),
            }
        }
    }

    /// # Safety
    /// [`configure`] has been called on this thread, both panels of an operand have the same steps, and the tiles that the segments name are
    /// inside each of the panels, and 16 rows from each place of the output on inside its values.
    #[inline(always)]
    pub(super) unsafe fn multiply(
        a: [Panel; 2],
        b: [Panel; 2],
        segments: &[Segment],
        output: Output,
    ) {
        let (a, b) = (Pair::new(a), Pair::new(b));
        let row = output.row * size_of::<f32>();
        let values = output.values.as_mut_ptr();
        // SAFETY: as the caller promises. It reads the two pairs, the segments and the tiles that they name, reads and
        // writes the output, and changes no registers but those named. A segment without blocks is skipped.
        unsafe {
            let to = output.at.map(|at| values.add(at));
            // They lie in as many pages as they have rows: fetched while the sums are computed, not when they are stored.
            for to in to {
                for i in 0..EDGE {
                    asm!("prefetchw [{}]", in(reg) to.add(i * output.row), options(nostack, readonly, preserves_flags));
                }
            }
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "test {at}, {at}",
                "jz 6f",
                "mov {x}, [{to}]",
                "tileloadd tmm0, [{x} + {stride}]",
                "mov {x}, [{to} + 8]",
                "tileloadd tmm1, [{x} + {stride}]",
                "mov {x}, [{to} + 16]",
                "tileloadd tmm2, [{x} + {stride}]",
                "mov {x}, [{to} + 24]",
                "tileloadd tmm3, [{x} + {stride}]",
                "6:",
                "test {count}, {count}",
                "jz 5f",
                "2:", // a segment
                "mov {x}, [{segment}]",
                "mov {y}, [{segment} + 8]",
                "mov {at}, [{segment} + 16]",
                "mov {blocks}, [{segment} + 24]",
                "add {segment}, 32",
                "imul {x}, [{a} + 16]",
                "imul {y}, [{b} + 16]",
                "mov {from}, {at}",
                "imul {at}, [{a} + 24]",
                "imul {from}, [{b} + 24]",
                "add {x}, {at}",
                "add {y}, {from}",
                "test {blocks}, {blocks}",
                "jz 4f",
                "3:", // a block of it
                "mov {at}, [{a}]",
                "add {at}, {x}",
                "tileloadd tmm4, [{at} + {row}]",
                "mov {at}, [{b}]",
                "add {at}, {y}",
                "tileloadd tmm6, [{at} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "mov {at}, [{b} + 8]",
                "add {at}, {y}",
                "tileloadd tmm7, [{at} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "mov {at}, [{a} + 8]",
                "add {at}, {x}",
                "tileloadd tmm5, [{at} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {x}, [{a} + 24]",
                "add {y}, [{b} + 24]",
                "dec {blocks}",
                "jnz 3b",
                "4:",
                "dec {count}",
                "jnz 2b",
                "5:",
                "mov {x}, [{to}]",
                "tilestored [{x} + {stride}], tmm0",
                "mov {x}, [{to} + 8]",
                "tilestored [{x} + {stride}], tmm1",
                "mov {x}, [{to} + 16]",
                "tilestored [{x} + {stride}], tmm2",
                "mov {x}, [{to} + 24]",
                "tilestored [{x} + {stride}], tmm3",
                to = in(reg) &raw const to,
                stride = in(reg) row,
                row = in(reg) 64usize,
                segment = inout(reg) segments.as_ptr() => _,
                count = inout(reg) segments.len() => _,
                a = in(reg) &raw const a,
                b = in(reg) &raw const b,
                x = out(reg) _,
                y = out(reg) _,
                from = out(reg) _,
                blocks = out(reg) _,
                at = inout(reg) usize::from(output.resumed) => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{EDGE, Sums, Tile};

    pub(super) fn available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// See [`super::Unit::round`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn round<'a>(
        rows: impl Fn(usize) -> [&'a [f32; EDGE]; 2],
        neighbours: bool,
        second: bool,
        pairs: &mut [[u32; EDGE]; EDGE],
    ) {
        let mut order = [0u16; 2 * EDGE];
        for (i, place) in order.iter_mut().enumerate() {
            let (pair, high) = (i as u16 / 2, i as u16 % 2);
            *place = match neighbours {
                true => 2 * pair + 1 - high,
                false => pair + EDGE as u16 * high,
            };
        }
        // SAFETY: all of these arrays have 64 bytes.
        unsafe {
            let order = _mm512_loadu_si512(order.as_ptr().cast());
            for (i, pairs) in pairs.iter_mut().enumerate() {
                let [low, high] = rows(i).map(|row| {
                    let row = _mm512_loadu_ps(row.as_ptr());
                    if second { rest(row) } else { row }
                });
                let rounded: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
                let rounded = _mm512_permutexvar_epi16(order, rounded);
                _mm512_storeu_si512(pairs.as_mut_ptr().cast(), rounded);
            }
        }
    }

    /// [`super::super::tile::rest`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn rest(values: __m512) -> __m512 {
        let rounded = _mm512_cvtpbh_ps(_mm512_cvtneps_pbh(values));
        _mm512_sub_ps(values, rounded)
    }

    /// Rows that are summed together: enough for the additions not to wait for one another.
    const ROWS: usize = 8;

    /// Adds to `sums` the product of two tiles whose values are paired with their neighbours.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn multiply(a: &Tile, b: &Tile, sums: &mut Sums) {
        for (a, sums) in a.0.chunks_exact(ROWS).zip(sums.chunks_exact_mut(ROWS)) {
            let [first, second] = [0, EDGE / 2].map(|half| {
                let mut sums = [_mm512_setzero_ps(); ROWS];
                for pair in half..half + EDGE / 2 {
                    // SAFETY: a row of a tile has 64 bytes.
                    let b = unsafe { _mm512_loadu_si512(b.0[pair].as_ptr().cast()) };
                    for (sum, a) in sums.iter_mut().zip(a) {
                        let a = _mm512_set1_epi32(a[pair] as i32);
                        *sum = _mm512_dpbf16_ps(*sum, bf16(a), bf16(b));
                    }
                }
                sums
            });
            for (sums, (first, second)) in sums.iter_mut().zip(first.into_iter().zip(second)) {
                // SAFETY: so has a row of sums.
                unsafe {
                    let sum = _mm512_loadu_ps(sums.as_ptr());
                    let sum = plus(sum, plus(first, second));
                    _mm512_storeu_ps(sums.as_mut_ptr(), sum);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn bf16(pairs: __m512i) -> __m512bh {
        // SAFETY: the same 512 bits.
        unsafe { std::mem::transmute(pairs) }
    }

    /// A sum in which what is subnormal is 0, as in the products.
    #[target_feature(enable = "avx512f")]
    fn plus(a: __m512, b: __m512) -> __m512 {
        let sum = _mm512_add_ps(a, b);
        let exponent = _mm512_and_si512(_mm512_castps_si512(sum), _mm512_set1_epi32(0x7f80_0000));
        let normal = _mm512_test_epi32_mask(exponent, exponent);
        let sign = _mm512_and_si512(_mm512_castps_si512(sum), _mm512_set1_epi32(i32::MIN));
        _mm512_mask_mov_ps(_mm512_castsi512_ps(sign), normal, sum)
    }
}
