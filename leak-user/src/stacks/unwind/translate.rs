//! From the columns of call frame information to a [`Rule`].

use gimli::{
    CfaRule, Encoding, Operation, Register, RegisterRule, UnwindExpression, UnwindSection,
};
use leak_common::unwind::{Rule, cfa, frame_pointer, return_address};

use super::columns::{Columns, Reader};
use super::machine::Machine;

/// The program counter, in x86-64's expressions.
const RIP: Register = Register(16);
/// Holds the return address in vfork on x86-64.
const RDI: Register = Register(5);
/// Operations of the longest expression that is understood.
const MAX_OPERATIONS: usize = 9;

/// A function that the kernel's signal frame is above.
pub(super) fn signal(machine: Machine) -> Rule {
    bare(machine, cfa::SIGNAL)
}

/// Where the return address is if nothing else is said: always there on x86-64.
fn usual_return_offset(machine: Machine) -> i32 {
    match machine {
        Machine::X86_64 => -8,
        Machine::Aarch64 => 0,
    }
}

fn bare(machine: Machine, cfa: u8) -> Rule {
    Rule {
        cfa,
        frame_pointer: frame_pointer::SAME,
        return_address: return_address::AT_CFA,
        cfa_addend: 0,
        cfa_offset: 0,
        frame_pointer_offset: 0,
        return_offset: usual_return_offset(machine),
    }
}

/// The factor of offsets that Go's linker writes; others write -8 on both machines.
pub(super) const GO_DATA_FACTOR: i64 = -4;

/// Completes a rule of Go code, whose call frame information leaves out the frame
/// pointer: every function with a frame saves it, below the return address on x86-64
/// and below the frame on aarch64.
pub(super) fn with_go_frame(machine: Machine, rule: Rule) -> Rule {
    let framed = rule.cfa_offset > -usual_return_offset(machine);
    if rule.cfa != cfa::STACK_POINTER || rule.frame_pointer != frame_pointer::SAME || !framed {
        return rule;
    }
    Rule {
        frame_pointer: frame_pointer::AT_CFA,
        frame_pointer_offset: match machine {
            Machine::X86_64 => -16,
            Machine::Aarch64 => (-8i32).saturating_sub(rule.cfa_offset),
        },
        ..rule
    }
}

/// Reads the expressions of a section.
pub(super) struct Translator<'a, S> {
    pub(super) machine: Machine,
    pub(super) section: &'a S,
    pub(super) encoding: Encoding,
}

impl<'a, S: UnwindSection<Reader<'a>>> Translator<'_, S> {
    /// The rule that says what the columns say; `None` if none can.
    pub(super) fn rule(&self, columns: &Columns) -> Option<Rule> {
        if columns.return_address == Some(RegisterRule::Undefined) {
            return Some(bare(self.machine, cfa::END));
        }
        let mut rule = bare(self.machine, cfa::STACK_POINTER);
        self.set_cfa(&columns.cfa, &mut rule)?;
        self.set_frame_pointer(columns.frame_pointer.as_ref(), &mut rule)?;
        self.set_return_address(columns.return_address.as_ref(), &mut rule)?;
        Some(rule)
    }

    fn set_cfa(&self, column: &CfaRule<usize>, rule: &mut Rule) -> Option<()> {
        match column {
            CfaRule::RegisterAndOffset { register, offset } => {
                rule.cfa = self.cfa_base(*register)?;
                rule.cfa_offset = i32::try_from(*offset).ok()?;
            }
            CfaRule::Expression(expression) => {
                let mut operations = Operations::default();
                match self.operations(*expression, &mut operations)? {
                    [Base(register, offset)] => {
                        rule.cfa = self.cfa_base(*register)?;
                        rule.cfa_offset = i32::try_from(*offset).ok()?;
                    }
                    [Base(register, offset), Load] => self.load(rule, *register, *offset, 0)?,
                    [Base(register, offset), Load, Add(addend)] => {
                        self.load(rule, *register, *offset, *addend)?;
                    }
                    // The slot that the entry has pushed counts from its second
                    // instruction on.
                    [
                        Base(stack, 8),
                        Base(RIP, 0),
                        Literal(15),
                        And,
                        Literal(from),
                        AtLeast,
                        Literal(3),
                        ShiftLeft,
                        Plus,
                    ] if self.machine == Machine::X86_64
                        && *stack == self.machine.stack_pointer() =>
                    {
                        rule.cfa = cfa::PLT;
                        rule.cfa_offset = i32::try_from(*from).ok()?;
                    }
                    _ => return None,
                }
            }
        }
        Some(())
    }

    fn cfa_base(&self, register: Register) -> Option<u8> {
        if register == self.machine.stack_pointer() {
            Some(cfa::STACK_POINTER)
        } else if register == self.machine.frame_pointer() {
            Some(cfa::FRAME_POINTER)
        } else {
            None
        }
    }

    fn load(&self, rule: &mut Rule, register: Register, offset: i64, addend: u64) -> Option<()> {
        rule.cfa = match self.cfa_base(register)? {
            cfa::STACK_POINTER => cfa::LOADED_BY_STACK_POINTER,
            _ => cfa::LOADED_BY_FRAME_POINTER,
        };
        rule.cfa_offset = i32::try_from(offset).ok()?;
        rule.cfa_addend = u8::try_from(addend).ok()?;
        Some(())
    }

    fn set_frame_pointer(
        &self,
        column: Option<&RegisterRule<usize>>,
        rule: &mut Rule,
    ) -> Option<()> {
        let own = self.machine.frame_pointer();
        match column {
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => {}
            Some(RegisterRule::Register(register)) if *register == own => {}
            Some(RegisterRule::Offset(offset)) => {
                rule.frame_pointer = frame_pointer::AT_CFA;
                rule.frame_pointer_offset = i32::try_from(*offset).ok()?;
            }
            Some(RegisterRule::Expression(expression)) => {
                let mut operations = Operations::default();
                match self.operations(*expression, &mut operations)? {
                    [Base(register, offset)] if *register == own => {
                        rule.frame_pointer = frame_pointer::AT_FRAME_POINTER;
                        rule.frame_pointer_offset = i32::try_from(*offset).ok()?;
                    }
                    _ => return None,
                }
            }
            Some(_) => return None,
        }
        Some(())
    }

    fn set_return_address(
        &self,
        column: Option<&RegisterRule<usize>>,
        rule: &mut Rule,
    ) -> Option<()> {
        match (self.machine, column) {
            (Machine::X86_64, Some(RegisterRule::Offset(-8))) => {}
            (Machine::X86_64, Some(RegisterRule::Register(RDI)))
            | (Machine::Aarch64, None | Some(RegisterRule::SameValue)) => {
                rule.return_address = return_address::IN_REGISTER;
            }
            (Machine::Aarch64, Some(RegisterRule::Offset(offset))) => {
                rule.return_offset = i32::try_from(*offset).ok()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// The operations of an expression; `None` if it is not understood.
    fn operations<'o>(
        &self,
        expression: UnwindExpression<usize>,
        operations: &'o mut Operations,
    ) -> Option<&'o [Understood]> {
        let expression = expression.get(self.section).ok()?;
        let mut count = 0;
        let mut rest = expression.operations(self.encoding);
        while let Some(operation) = rest.next().ok()? {
            *operations.get_mut(count)? = Understood::of(operation)?;
            count += 1;
        }
        operations.get(..count)
    }
}

type Operations = [Understood; MAX_OPERATIONS];

/// An operation of the expressions that occur.
#[derive(Clone, Copy, Debug, Default)]
enum Understood {
    /// A register's value plus an offset.
    Base(Register, i64),
    /// The eight bytes stored there.
    Load,
    /// Plus a constant.
    Add(u64),
    Literal(u64),
    And,
    AtLeast,
    ShiftLeft,
    #[default]
    Plus,
}
use Understood::{Add, And, AtLeast, Base, Literal, Load, Plus, ShiftLeft};

impl Understood {
    fn of(operation: Operation<Reader<'_>>) -> Option<Understood> {
        Some(match operation {
            Operation::RegisterOffset {
                register, offset, ..
            } => Base(register, offset),
            Operation::Deref {
                size: 8,
                space: false,
                ..
            } => Load,
            Operation::PlusConstant { value } => Add(value),
            Operation::UnsignedConstant { value } => Literal(value),
            Operation::And => And,
            Operation::Ge => AtLeast,
            Operation::Shl => ShiftLeft,
            Operation::Plus => Plus,
            _ => return None,
        })
    }
}
