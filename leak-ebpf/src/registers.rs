//! The registers of the caller at a system call, and where a signal's frame keeps them: all that
//! differs between the architectures is here.

/// Pointer to the kernel's `struct pt_regs` of the user side, typed for the
/// verifier: fields are plain loads.
#[derive(Clone, Copy)]
pub(crate) struct Registers(*const u64);

#[cfg(bpf_target_arch = "x86_64")]
mod layout {
    //! arch/x86/include/asm/ptrace.h, `struct pt_regs`, in words.
    pub(super) const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
    /// `orig_ax`: a system call's number is in its lower half.
    pub(super) const NUMBER: usize = 15;
    pub(super) const IP: usize = 16;
    pub(super) const CS: usize = 17;
    pub(super) const SP: usize = 19;
    pub(super) const FP: usize = 4;
    /// First argument of a function: where glibc's vfork keeps its return address.
    pub(super) const LINK: usize = 14;
}

/// Offsets in the frame that a signal handler returns to: `struct ucontext` of
/// arch/x86/include/uapi/asm, at the stack pointer after the handler's return.
#[cfg(bpf_target_arch = "x86_64")]
pub(crate) mod signal_frame {
    pub(crate) const LINK: u64 = 104;
    pub(crate) const FP: u64 = 120;
    pub(crate) const SP: u64 = 160;
    pub(crate) const IP: u64 = 168;
}

/// Offsets in the frame that a signal handler returns to: `struct rt_sigframe` of
/// arch/arm64/kernel/signal.c, with 128 bytes of siginfo before the ucontext.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) mod signal_frame {
    pub(crate) const FP: u64 = 544;
    pub(crate) const LINK: u64 = 552;
    pub(crate) const SP: u64 = 560;
    pub(crate) const IP: u64 = 568;
}

#[cfg(bpf_target_arch = "aarch64")]
mod layout {
    //! arch/arm64/include/asm/ptrace.h, `struct pt_regs`, in words. The first
    //! argument's register holds the result at the end of a call; its value at
    //! the beginning is in orig_x0.
    pub(super) const ARGUMENTS: [usize; 6] = [34, 1, 2, 3, 4, 5];
    /// `syscallno`: 32 bits wide, and the verifier refuses to read beyond.
    pub(super) const NUMBER: usize = 35;
    pub(super) const IP: usize = 32;
    pub(super) const PSTATE: usize = 33;
    pub(super) const SP: usize = 31;
    pub(super) const FP: usize = 29;
    pub(super) const LINK: usize = 30;
}

impl Registers {
    pub(crate) fn new(registers: *const u64) -> Self {
        Self(registers)
    }

    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        // SAFETY: a constant index inside pt_regs, behind a pointer that the verifier knows:
        // it refuses a program that loads from elsewhere.
        unsafe { core::ptr::read_volatile(self.0.add(index)) }
    }

    /// The system call's number.
    #[inline(always)]
    pub(crate) fn number(self) -> u64 {
        // SAFETY: as in `word`.
        let number = unsafe { core::ptr::read_volatile(self.0.add(layout::NUMBER).cast::<u32>()) };
        u64::from(number)
    }

    /// Whether a 32-bit program made the call: its numbers mean other calls.
    #[inline(always)]
    pub(crate) fn is_compat(self) -> bool {
        #[cfg(bpf_target_arch = "x86_64")]
        {
            // __USER32_CS, arch/x86/include/asm/segment.h.
            self.word(layout::CS) & 0xffff == 0x23
        }
        #[cfg(bpf_target_arch = "aarch64")]
        {
            // PSR_MODE32_BIT, arch/arm64/include/uapi/asm/ptrace.h.
            self.word(layout::PSTATE) & 0x10 != 0
        }
    }

    /// An argument of the call.
    #[inline(always)]
    pub(crate) fn argument(self, index: usize) -> u64 {
        self.word(layout::ARGUMENTS[index])
    }

    pub(crate) fn instruction(self) -> u64 {
        self.word(layout::IP)
    }

    pub(crate) fn stack(self) -> u64 {
        self.word(layout::SP)
    }

    pub(crate) fn frame(self) -> u64 {
        self.word(layout::FP)
    }

    /// Where a function that was just called may have its return address.
    pub(crate) fn link(self) -> u64 {
        self.word(layout::LINK)
    }
}

/// A return address without its signature (aarch64 pointer authentication: user
/// addresses have 48 bits unless a program asks for more).
#[inline(always)]
pub(crate) fn strip(address: u64) -> u64 {
    if cfg!(bpf_target_arch = "aarch64") {
        address & 0xffff_ffff_ffff
    } else {
        address
    }
}

/// Whether a number is that of an x32 call: `__X32_SYSCALL_BIT`,
/// arch/x86/include/uapi/asm/unistd.h. (It is -1 where there is none, as after a
/// signal.)
#[inline(always)]
pub(crate) fn is_x32(number: u64) -> bool {
    cfg!(bpf_target_arch = "x86_64") && number & 0xffff_f000 == 0x4000_0000
}
