//! Requests of ioctl(2) that make a descriptor. A new one is a new row.
//!
//! What is not here, though its name may suggest it: `LOOP_CTL_GET_FREE` and `LOOP_CTL_ADD` return the
//! number of a device, `FUSE_DEV_IOC_CLONE` and btrfs's requests take descriptors and make none,
//! `FUSE_DEV_IOC_BACKING_OPEN` returns an id, and the result of `SECCOMP_IOCTL_NOTIF_ADDFD` is a number
//! in the process that is supervised.

use crate::kind::Kind;

/// Where a request has its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the result of the call.
    Result,
    /// It is written to the third argument's memory, that many bytes from its beginning.
    Memory(u16),
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name in the kernel's headers.
    pub name: &'static str,
    /// Its number, the same on x86-64 and aarch64.
    pub number: u32,
    /// Where the descriptor is.
    pub place: Place,
    /// What it is; `/proc` corrects it where kernels differ.
    pub kind: Kind,
}

const fn result(name: &'static str, number: u32, kind: Kind) -> Request {
    Request {
        name,
        number,
        place: Place::Result,
        kind,
    }
}

const fn memory(name: &'static str, number: u32, at: u16, kind: Kind) -> Request {
    Request {
        name,
        number,
        place: Place::Memory(at),
        kind,
    }
}

use Kind::{Anon, File};

/// Every request that makes a descriptor. The numbers are those of the macros `_IO` to `_IOWR`
/// (include/uapi/asm-generic/ioctl.h).
#[rustfmt::skip]
pub const REQUESTS: &[Request] = &[
    // include/uapi/asm-generic/ioctls.h; glibc's openpty asks it.
    result("TIOCGPTPEER", 0x5441, File),
    // include/uapi/linux/nsfs.h.
    result("NS_GET_USERNS", 0xb701, File),
    result("NS_GET_PARENT", 0xb702, File),
    result("NS_MNT_GET_NEXT", 0x8010_b70b, File),
    result("NS_MNT_GET_PREV", 0x8010_b70c, File),
    // include/uapi/linux/pidfd.h.
    result("PIDFD_GET_CGROUP_NAMESPACE", 0xff01, File),
    result("PIDFD_GET_IPC_NAMESPACE", 0xff02, File),
    result("PIDFD_GET_MNT_NAMESPACE", 0xff03, File),
    result("PIDFD_GET_NET_NAMESPACE", 0xff04, File),
    result("PIDFD_GET_PID_NAMESPACE", 0xff05, File),
    result("PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE", 0xff06, File),
    result("PIDFD_GET_TIME_NAMESPACE", 0xff07, File),
    result("PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE", 0xff08, File),
    result("PIDFD_GET_USER_NAMESPACE", 0xff09, File),
    result("PIDFD_GET_UTS_NAMESPACE", 0xff0a, File),
    // include/uapi/linux/sockios.h, include/uapi/linux/if_tun.h.
    result("SIOCGSKNS", 0x894c, File),
    result("TUNGETDEVNETNS", 0x54e3, File),
    // include/uapi/linux/kvm.h.
    result("KVM_CREATE_VM", 0xae01, Anon),
    result("KVM_CREATE_VCPU", 0xae41, Anon),
    result("KVM_GET_STATS_FD", 0xaece, Anon),
    result("KVM_CREATE_GUEST_MEMFD", 0xc040_aed4, Anon),
    memory("KVM_CREATE_DEVICE", 0xc00c_aee0, 4, Anon),
    // include/uapi/linux/vfio.h.
    result("VFIO_GROUP_GET_DEVICE_FD", 0x3b6a, Anon),
    // include/uapi/linux/userfaultfd.h: of /dev/userfaultfd.
    result("USERFAULTFD_IOC_NEW", 0xaa00, Anon),
    // include/uapi/linux/udmabuf.h, dma-heap.h, dma-buf.h, sync_file.h.
    result("UDMABUF_CREATE", 0x4018_7542, File),
    result("UDMABUF_CREATE_LIST", 0x4008_7543, File),
    memory("DMA_HEAP_IOCTL_ALLOC", 0xc018_4800, 8, File),
    memory("DMA_BUF_IOCTL_EXPORT_SYNC_FILE", 0xc008_6202, 4, Anon),
    memory("SYNC_IOC_MERGE", 0xc030_3e03, 36, Anon),
    // include/uapi/drm/drm.h; the second has grown.
    memory("DRM_IOCTL_PRIME_HANDLE_TO_FD", 0xc00c_642d, 8, File),
    memory("DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD", 0xc010_64c1, 8, Anon),
    memory("DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD (with a point)", 0xc018_64c1, 8, Anon),
    // include/uapi/linux/videodev2.h, media.h.
    memory("VIDIOC_EXPBUF", 0xc040_5610, 16, File),
    memory("MEDIA_IOC_REQUEST_ALLOC", 0x8004_7c05, 0, Anon),
    // include/uapi/linux/gpio.h.
    memory("GPIO_V2_GET_LINE_IOCTL", 0xc250_b407, 588, Anon),
    // fs/xfs/libxfs/xfs_fs.h.
    result("XFS_IOC_OPEN_BY_HANDLE", 0xc038_586b, File),
];

/// A place of the table by which the programs look a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// The request, 0 where there is none: no request has this number.
    pub number: u32,
    /// Where its descriptor is in memory, or [`Slot::IN_RESULT`].
    pub at: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// Not used.
    pub reserved: u8,
}

impl Slot {
    /// The descriptor is the result.
    pub const IN_RESULT: u16 = u16::MAX;

    const EMPTY: Slot = Slot {
        number: 0,
        at: 0,
        kind: 0,
        reserved: 0,
    };
}

/// Places of the table, a power of two.
pub const SLOTS: usize = 256;

/// The table: at the place of each request is that request or none.
pub const TABLE: [Slot; SLOTS] = match filled(MULTIPLIER) {
    Some(table) => table,
    None => panic!("the multiplier was chosen so that all have a place"),
};

/// Multiplied by it, no two requests have the same upper bits: one look says whether a number is
/// that of a request.
const MULTIPLIER: u32 = {
    let mut multiplier = 0x9e37_79b1;
    while filled(multiplier).is_none() {
        multiplier += 2;
    }
    multiplier
};

/// The place of a number.
#[inline(always)]
#[must_use]
pub const fn place(number: u32) -> usize {
    (number.wrapping_mul(MULTIPLIER) >> (32 - SLOTS.trailing_zeros())) as usize
}

const fn filled(multiplier: u32) -> Option<[Slot; SLOTS]> {
    let mut table = [Slot::EMPTY; SLOTS];
    let mut index = 0;
    while index < REQUESTS.len() {
        let request = REQUESTS[index];
        let place = request.number.wrapping_mul(multiplier) >> (32 - SLOTS.trailing_zeros());
        if table[place as usize].number != 0 {
            return None;
        }
        table[place as usize] = Slot {
            number: request.number,
            at: match request.place {
                Place::Result => Slot::IN_RESULT,
                Place::Memory(at) => at,
            },
            kind: request.kind as u32 as u8,
            reserved: 0,
        };
        index += 1;
    }
    Some(table)
}

const _: () = assert!(size_of::<Slot>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_found_and_nothing_else() {
        for request in REQUESTS {
            let slot = TABLE[place(request.number)];
            assert_eq!(slot.number, request.number, "{}", request.name);
            assert_eq!(Kind::from_wire(slot.kind.into()), Some(request.kind));
            let at = match request.place {
                Place::Result => Slot::IN_RESULT,
                Place::Memory(at) => at,
            };
            assert_eq!(slot.at, at, "{}", request.name);
        }
        let used = TABLE.iter().filter(|slot| slot.number != 0).count();
        assert_eq!(used, REQUESTS.len());
    }

    /// In an `_IOR` or `_IOWR` request the size of its structure is in bits 16 to 29.
    #[test]
    fn a_descriptor_in_memory_is_within_its_structure() {
        for request in REQUESTS {
            if let Place::Memory(at) = request.place {
                let size = request.number >> 16 & 0x3fff;
                assert!(u32::from(at) + 4 <= size, "{}", request.name);
                assert_ne!(request.number >> 31, 0, "{} writes nothing", request.name);
            }
        }
    }
}
