//! The three columns of call frame information that finding a caller takes: the CFA,
//! the frame pointer and the return address (DWARF 5, 6.4).
//!
//! gimli reads the instructions; they are run here because gimli keeps all registers,
//! and begins every function with its common instructions anew: time that a hostile
//! file could multiply.

use gimli::{
    CallFrameInstruction, CallFrameInstructionIter, CfaRule, EndianSlice, LittleEndian, Register,
    RegisterRule,
};

/// The bytes of a section, as gimli reads them.
pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;

/// Most states that `DW_CFA_remember_state` can stack. Compilers use one or two.
const MAX_REMEMBERED: usize = 16;

/// The instructions cannot be run.
#[derive(Debug)]
pub(super) struct Malformed;

/// The columns at a place in the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) cfa: CfaRule<usize>,
    pub(super) frame_pointer: Option<RegisterRule<usize>>,
    pub(super) return_address: Option<RegisterRule<usize>>,
}

/// What the instructions refer to beside themselves.
pub(super) struct Context<'a> {
    pub(super) frame_pointer: Register,
    pub(super) return_address: Register,
    pub(super) code_factor: u64,
    pub(super) data_factor: i64,
    /// What the common instructions made, for `DW_CFA_restore`; `None` while running
    /// them.
    pub(super) initial: Option<&'a Columns>,
}

impl Context<'_> {
    /// Runs instructions on `columns`, from `start` on; `row` is called with the
    /// start of each row and its columns, also for rows without length.
    pub(super) fn run(
        &self,
        mut instructions: CallFrameInstructionIter<'_, Reader<'_>>,
        start: u64,
        columns: &mut Columns,
        mut row: impl FnMut(u64, &Columns),
    ) -> Result<(), Malformed> {
        let mut place = start;
        let mut remembered = Vec::new();
        while let Some(instruction) = instructions.next().map_err(|_| Malformed)? {
            let next = match instruction {
                CallFrameInstruction::SetLoc { address } => Some(address),
                CallFrameInstruction::AdvanceLoc { delta } => {
                    let bytes = u64::from(delta).wrapping_mul(self.code_factor);
                    Some(place.checked_add(bytes).ok_or(Malformed)?)
                }
                CallFrameInstruction::RememberState => {
                    if remembered.len() == MAX_REMEMBERED {
                        return Err(Malformed);
                    }
                    remembered.push(columns.clone());
                    None
                }
                CallFrameInstruction::RestoreState => {
                    *columns = remembered.pop().ok_or(Malformed)?;
                    None
                }
                other => {
                    self.apply(other, columns)?;
                    None
                }
            };
            if let Some(next) = next {
                if next < place {
                    return Err(Malformed);
                }
                row(place, columns);
                place = next;
            }
        }
        row(place, columns);
        Ok(())
    }

    /// Applies an instruction that changes columns only.
    fn apply(
        &self,
        instruction: CallFrameInstruction<usize>,
        columns: &mut Columns,
    ) -> Result<(), Malformed> {
        use CallFrameInstruction as I;
        let factored = |offset: i64| offset.wrapping_mul(self.data_factor);
        match instruction {
            I::DefCfa { register, offset } => {
                columns.cfa = based(register, offset as i64);
            }
            I::DefCfaSf {
                register,
                factored_offset,
            } => columns.cfa = based(register, factored(factored_offset)),
            I::DefCfaRegister { register } => *cfa_base(columns)?.0 = register,
            I::DefCfaOffset { offset } => *cfa_base(columns)?.1 = offset as i64,
            I::DefCfaOffsetSf { factored_offset } => {
                *cfa_base(columns)?.1 = factored(factored_offset);
            }
            I::DefCfaExpression { expression } => columns.cfa = CfaRule::Expression(expression),
            I::Undefined { register } => self.set(columns, register, RegisterRule::Undefined),
            I::SameValue { register } => self.set(columns, register, RegisterRule::SameValue),
            I::Offset {
                register,
                factored_offset,
            } => {
                let offset = factored(factored_offset as i64);
                self.set(columns, register, RegisterRule::Offset(offset));
            }
            I::OffsetExtendedSf {
                register,
                factored_offset,
            } => {
                let offset = factored(factored_offset);
                self.set(columns, register, RegisterRule::Offset(offset));
            }
            I::ValOffset {
                register,
                factored_offset,
            } => {
                let offset = factored(factored_offset as i64);
                self.set(columns, register, RegisterRule::ValOffset(offset));
            }
            I::ValOffsetSf {
                register,
                factored_offset,
            } => {
                let offset = factored(factored_offset);
                self.set(columns, register, RegisterRule::ValOffset(offset));
            }
            I::Register {
                dest_register,
                src_register,
            } => self.set(columns, dest_register, RegisterRule::Register(src_register)),
            I::Expression {
                register,
                expression,
            } => self.set(columns, register, RegisterRule::Expression(expression)),
            I::ValExpression {
                register,
                expression,
            } => self.set(columns, register, RegisterRule::ValExpression(expression)),
            I::Restore { register } => self.restore(columns, register)?,
            // Signing changes the return address's upper bits, not where it is.
            I::NegateRaState | I::ArgsSize { .. } | I::Nop => {}
            I::SetLoc { .. } | I::AdvanceLoc { .. } | I::RememberState | I::RestoreState => {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn column<'c>(
        &self,
        columns: &'c mut Columns,
        register: Register,
    ) -> Option<&'c mut Option<RegisterRule<usize>>> {
        if register == self.frame_pointer {
            Some(&mut columns.frame_pointer)
        } else if register == self.return_address {
            Some(&mut columns.return_address)
        } else {
            None
        }
    }

    fn set(&self, columns: &mut Columns, register: Register, rule: RegisterRule<usize>) {
        if let Some(column) = self.column(columns, register) {
            *column = Some(rule);
        }
    }

    fn restore(&self, columns: &mut Columns, register: Register) -> Result<(), Malformed> {
        let mut initial = self.initial.ok_or(Malformed)?.clone();
        let initial = self
            .column(&mut initial, register)
            .map(|column| column.take());
        if let (Some(column), Some(initial)) = (self.column(columns, register), initial) {
            *column = initial;
        }
        Ok(())
    }
}

fn based(register: Register, offset: i64) -> CfaRule<usize> {
    CfaRule::RegisterAndOffset { register, offset }
}

/// The CFA's base, if it is a register and an offset.
fn cfa_base(columns: &mut Columns) -> Result<(&mut Register, &mut i64), Malformed> {
    match &mut columns.cfa {
        CfaRule::RegisterAndOffset { register, offset } => Ok((register, offset)),
        CfaRule::Expression(_) => Err(Malformed),
    }
}
