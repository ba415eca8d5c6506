//! What call frame information says, and the rules it becomes.

use leak_common::unwind::{Rule, cfa, frame_pointer, return_address};

use super::made::{CODE, Elf, Frames};
use super::{AARCH64, by_stack, rules_at, sound};

// Instructions of call frame information, and operations of expressions.
const ADVANCE_1: u8 = 0x41;
const DEF_CFA: u8 = 0x0c;
const DEF_CFA_REGISTER: u8 = 0x0d;
const DEF_CFA_OFFSET: u8 = 0x0e;
const DEF_CFA_EXPRESSION: u8 = 0x0f;
const EXPRESSION: u8 = 0x10;
const VAL_OFFSET: u8 = 0x14;
const REMEMBER: u8 = 0x0a;
const RESTORE_STATE: u8 = 0x0b;
const UNDEFINED: u8 = 0x07;
const REGISTER: u8 = 0x09;
const OFFSET: u8 = 0x80;
const RESTORE: u8 = 0xc0;
const NEGATE_RA_STATE: u8 = 0x2d;
const UNASSIGNED: u8 = 0x3e;

const RBP: u8 = 6;
const RSP: u8 = 7;
const RA: u8 = 16;

/// The rule at the first byte of a function with these instructions, of x86-64.
fn rule_of(instructions: &[u8]) -> Option<Rule> {
    let mut frames = Frames::eh();
    let common = frames.common();
    frames.function(common, 0, 16, instructions);
    sound(&Elf::with(frames).bytes()).rule_at(CODE)
}

#[test]
fn rules_hold_from_their_row_to_the_next() {
    let mut frames = Frames::eh();
    let common = frames.common();
    #[rustfmt::skip]
    let instructions = [
        ADVANCE_1, DEF_CFA_OFFSET, 16, OFFSET | RBP, 2,
        ADVANCE_1 + 2, DEF_CFA_REGISTER, RBP,
        ADVANCE_1 + 9, REMEMBER, DEF_CFA, RSP, 8, RESTORE | RBP,
        ADVANCE_1, RESTORE_STATE,
    ];
    frames.function(common, 0x1ff, 0x20, &instructions);
    let table = sound(&Elf::with(frames).bytes());

    let saved = |cfa, cfa_offset| Rule {
        cfa,
        frame_pointer: frame_pointer::AT_CFA,
        frame_pointer_offset: -16,
        ..by_stack(cfa_offset)
    };
    let at = |skip: u64| CODE + 0x1ff + skip;
    let pushed = Some(saved(cfa::STACK_POINTER, 16));
    let framed = Some(saved(cfa::FRAME_POINTER, 16));
    assert_eq!(
        rules_at(&table, [at(0) - 1, at(0), at(1), at(3), at(4), at(13)]),
        [None, Some(by_stack(8)), pushed, pushed, framed, framed]
    );
    assert_eq!(
        rules_at(&table, [at(14), at(15), at(31), at(32), 0, u64::MAX]),
        [Some(by_stack(8)), framed, framed, None, None, None]
    );
    assert_eq!(table.first_page, 16);
    assert_eq!(table.pages.len(), 32);
    assert_eq!(table.statistics.functions, 1);
}

#[test]
fn entries_of_the_linkage_table_are_known_in_both_forms() {
    for from in [10, 11] {
        let expression = [
            0x77,
            8,
            0x80,
            0,
            0x3f,
            0x1a,
            0x30 + from,
            0x2a,
            0x33,
            0x24,
            0x22,
        ];
        let expected = Rule {
            cfa: cfa::PLT,
            ..by_stack(i32::from(from))
        };
        let instructions = [&[DEF_CFA_EXPRESSION, 11], &expression[..]].concat();
        assert_eq!(rule_of(&instructions), Some(expected));
    }
}

#[test]
fn loaded_cfas_are_known() {
    let rule = |cfa, cfa_addend, offset| {
        Some(Rule {
            cfa,
            cfa_addend,
            ..by_stack(offset)
        })
    };
    let by_expression = |expression: &[u8]| {
        rule_of(&[&[DEF_CFA_EXPRESSION, expression.len() as u8], expression].concat())
    };
    assert_eq!(
        by_expression(&[0x77, 0x98, 1, 0x06, 0x23, 8]),
        rule(cfa::LOADED_BY_STACK_POINTER, 8, 152)
    );
    assert_eq!(
        by_expression(&[0x76, 0x78, 0x06]),
        rule(cfa::LOADED_BY_FRAME_POINTER, 0, -8)
    );
    assert_eq!(by_expression(&[0x77, 24]), rule(cfa::STACK_POINTER, 0, 24));
    // Twice loaded, a large addend, another register, nothing, cut off.
    for other in [
        &[0x77, 8, 0x06, 0x06][..],
        &[0x77, 8, 0x06, 0x23, 0x80, 2],
        &[0x73, 8, 0x06],
        &[],
        &[0x77],
    ] {
        assert_eq!(by_expression(other), None);
    }
}

#[test]
fn frame_pointer_saved_by_itself_is_known() {
    let expected = Rule {
        frame_pointer: frame_pointer::AT_FRAME_POINTER,
        frame_pointer_offset: -16,
        ..by_stack(8)
    };
    let instructions = [EXPRESSION, RBP, 2, 0x76, 0x70];
    assert_eq!(rule_of(&instructions), Some(expected));
}

#[test]
fn return_address_may_be_in_a_register() {
    let expected = Rule {
        return_address: return_address::IN_REGISTER,
        ..by_stack(8)
    };
    assert_eq!(rule_of(&[REGISTER, RA, 5]), Some(expected));
    assert_eq!(rule_of(&[REGISTER, RA, 1]), None);
}

#[test]
fn undefined_return_address_is_the_end() {
    let expected = Rule {
        cfa: cfa::END,
        ..by_stack(0)
    };
    assert_eq!(rule_of(&[UNDEFINED, RA]), Some(expected));
}

#[test]
fn what_no_rule_can_say_is_unknown() {
    let scratch_register = [DEF_CFA, 0, 8];
    let frame_pointer_is_a_value = [VAL_OFFSET, RBP, 2];
    let other_return_offset = [OFFSET | RA, 2];
    let large = [DEF_CFA_OFFSET, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(rule_of(&scratch_register), None);
    assert_eq!(rule_of(&frame_pointer_is_a_value), None);
    assert_eq!(rule_of(&other_return_offset), None);
    assert_eq!(rule_of(&large), None);
}

#[test]
fn signal_frames_are_known_by_their_augmentation() {
    let mut frames = Frames::eh();
    let common = frames.common_with("zS", 16, -8, &[]);
    // As glibc has it: an expression that is not understood.
    frames.function(common, 15, 10, &[DEF_CFA_EXPRESSION, 3, 0x77, 0xa0, 1]);
    let table = sound(&Elf::with(frames).bytes());
    let signal = Some(Rule {
        cfa: cfa::SIGNAL,
        ..by_stack(0)
    });
    assert_eq!(
        rules_at(&table, [CODE + 14, CODE + 15, CODE + 24, CODE + 25]),
        [None, signal, signal, None]
    );
}

#[test]
fn signal_frames_without_information_are_known_by_their_code() {
    let x86_64 = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    let aarch64 = [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
    for (machine, code) in [(super::X86_64, &x86_64[..]), (AARCH64, &aarch64)] {
        let mut elf = Elf {
            machine,
            ..Elf::default()
        };
        elf.code[64..64 + code.len()].copy_from_slice(code);
        let table = sound(&elf.bytes());
        let (start, end) = (CODE + 63, CODE + 64 + code.len() as u64);
        let found = rules_at(&table, [start - 1, start, end - 1, end]);
        let found = found.map(|rule| rule.map(|rule| rule.cfa));
        let signal = Some(cfa::SIGNAL);
        assert_eq!(found, [None, signal, signal, None]);
    }
}

#[test]
fn malformed_functions_are_unknown_and_the_others_known() {
    let mut frames = Frames::eh();
    let common = frames.common();
    frames.function(common, 0, 16, &[]);
    frames.function(common, 16, 16, &[ADVANCE_1, UNASSIGNED]);
    frames.function(common, 32, 16, &[RESTORE_STATE]);
    frames.function(common, 48, 16, &[REMEMBER; 64]);
    let unreadable = frames.common_with("?", 16, -8, &[]);
    frames.function(unreadable, 64, 16, &[]);
    let malformed = frames.common_with("", 16, -8, &[RESTORE | RBP]);
    frames.function(malformed, 80, 16, &[]);
    frames.function(1 << 30, 96, 16, &[]);
    frames.function(common, 112, 16, &[]);
    let table = sound(&Elf::with(frames).bytes());
    let places = [0, 16, 32, 48, 64, 80, 96, 112].map(|skip| CODE + skip);
    let known = rules_at(&table, places).map(|rule| rule.is_some());
    assert_eq!(
        known,
        [true, false, false, false, false, false, false, true]
    );
    assert_eq!(table.statistics.malformed, 4);
}

#[test]
fn aarch64_keeps_the_return_address_in_a_register_first() {
    let mut frames = Frames::eh();
    let common = frames.common_with("", 30, -8, &[DEF_CFA, 31, 0]);
    #[rustfmt::skip]
    let instructions = [
        ADVANCE_1 + 3, NEGATE_RA_STATE,
        ADVANCE_1 + 3, DEF_CFA_OFFSET, 32, OFFSET | 29, 4, OFFSET | 30, 3,
        ADVANCE_1 + 3, DEF_CFA_REGISTER, 29,
        ADVANCE_1 + 3, RESTORE | 30, RESTORE | 29, DEF_CFA, 31, 0, NEGATE_RA_STATE,
    ];
    frames.function(common, 0, 64, &instructions);
    frames.function(common, 64, 16, &[UNDEFINED, 30]);
    let elf = Elf {
        machine: AARCH64,
        ..Elf::with(frames)
    };
    let table = sound(&elf.bytes());
    let bare = Rule {
        return_address: return_address::IN_REGISTER,
        return_offset: 0,
        ..by_stack(0)
    };
    let saved = |cfa| Rule {
        cfa,
        cfa_offset: 32,
        frame_pointer: frame_pointer::AT_CFA,
        frame_pointer_offset: -32,
        return_offset: -24,
        ..by_stack(0)
    };
    let end = Rule {
        cfa: cfa::END,
        return_offset: 0,
        ..by_stack(0)
    };
    assert_eq!(
        rules_at(&table, [0, 4, 8, 12, 16, 64].map(|skip| CODE + skip)),
        [
            Some(bare),
            Some(bare),
            Some(saved(cfa::STACK_POINTER)),
            Some(saved(cfa::FRAME_POINTER)),
            Some(bare),
            Some(end)
        ]
    );
}

#[test]
fn go_saves_the_frame_pointer_though_it_does_not_say_so() {
    let mut frames = Frames::debug();
    let common = frames.common_with("", 16, -4, &[DEF_CFA, 7, 8, OFFSET | RA, 2]);
    frames.function(common, 0, 64, &[ADVANCE_1 + 3, DEF_CFA_OFFSET, 48]);
    let elf = Elf {
        debug_frame: Some((frames, super::made::Storage::Plain)),
        ..Elf::default()
    };
    let table = sound(&elf.bytes());
    let framed = Rule {
        frame_pointer: frame_pointer::AT_CFA,
        frame_pointer_offset: -16,
        ..by_stack(48)
    };
    assert_eq!(
        rules_at(&table, [CODE, CODE + 4]),
        [Some(by_stack(8)), Some(framed)]
    );
}
