/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * iommufd: virtual IOMMUs, their devices and their event queues.
 *
 * <linux/iommufd.h> includes this header; include that one.
 *
 * A vIOMMU is the slice of one physical IOMMU that a VM drives: it ties a
 * nest parent HWPT (the VM's stage 2) to the physical IOMMU instance behind a
 * device. A vDEVICE gives a device the ID that the guest knows it by. A vEVENTQ
 * is a file on which the events of the guest's stage 1 arrive in the format of
 * the hardware.
 *
 *	IOAS -> HWPT(nest parent) <- vIOMMU <- vDEVICE(virt_id) -> device
 *				       ^ ^---- vEVENTQ (file descriptor)
 *				       '------ HWPT(nested)
 *
 * Every object pins what it points at: IOMMU_DESTROY answers EBUSY for a nest
 * parent that still has vIOMMUs, for a vIOMMU that still has vDEVICEs, vEVENTQs or
 * nested HWPTs, for a nested HWPT that a device is attached to, and for a vEVENTQ
 * whose file is open. The exception is the device of a vDEVICE: it can be unbound
 * at any time, and then the vDEVICE pins its vIOMMU no more.
 */
#ifndef _UAPI_LINUX_IOMMUFD_VIOMMU_H
#define _UAPI_LINUX_IOMMUFD_VIOMMU_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * enum iommu_viommu_type - Type of a virtual IOMMU
 * @IOMMU_VIOMMU_TYPE_DEFAULT: Reserved, no vIOMMU has it
 * @IOMMU_VIOMMU_TYPE_ARM_SMMUV3: An Arm SMMUv3 with a guest-owned stage 1
 */
enum iommu_viommu_type {
	IOMMU_VIOMMU_TYPE_DEFAULT = 0,
	IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
};

/**
 * struct iommu_viommu_alloc - ioctl(IOMMU_VIOMMU_ALLOC)
 * @size: sizeof(struct iommu_viommu_alloc), or what ends with @out_viommu_id
 * @flags: Must be 0
 * @type: One of enum iommu_viommu_type
 * @dev_id: A device behind the physical IOMMU that the vIOMMU wraps
 * @hwpt_id: The nest parent HWPT (IOMMU_HWPT_ALLOC_NEST_PARENT)
 * @out_viommu_id: Output, the ID of the new vIOMMU
 * @data_len: Length in bytes of the type specific data, 0 if there is none
 * @__reserved: Must be 0
 * @data_uptr: User pointer to the type specific data, ignored if @data_len is 0
 *
 * Allocate a vIOMMU. Its ID can be the pt_id of IOMMU_HWPT_ALLOC, to make a
 * nested HWPT, and the hwpt_id of IOMMU_HWPT_INVALIDATE.
 *
 * Errors: EOPNOTSUPP for flags and @__reserved, for a type that the IOMMU of the
 * device does not have, for a type whose requirements this host does not meet,
 * and for data of a type that has none, as %IOMMU_VIOMMU_TYPE_ARM_SMMUV3; ENOENT
 * for an unknown device or HWPT; EINVAL for a HWPT that is no nest parent or
 * that belongs to an IOMMU of another kind, and with
 * %IOMMU_VIOMMU_TYPE_ARM_SMMUV3 to another IOMMU: a nest parent is allocated for
 * a device behind the same SMMU; ENOSPC if the SMMU has no VMID left, or the
 * nest parent has 64 vIOMMUs.
 */
struct iommu_viommu_alloc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 dev_id;
	__u32 hwpt_id;
	__u32 out_viommu_id;
	__u32 data_len;
	__u32 __reserved;
	__aligned_u64 data_uptr;
};

#define IOMMU_VIOMMU_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VIOMMU_ALLOC)

/**
 * struct iommu_vdevice_alloc - ioctl(IOMMU_VDEVICE_ALLOC)
 * @size: sizeof(struct iommu_vdevice_alloc)
 * @viommu_id: The vIOMMU that the device sits behind in the guest
 * @dev_id: The device, bound to this iommufd
 * @out_vdevice_id: Output, the ID of the new vDEVICE
 * @virt_id: The device's ID on the vIOMMU: for %IOMMU_VIOMMU_TYPE_ARM_SMMUV3
 *           the guest's StreamID, at most 32 bits
 *
 * A device has at most one vDEVICE. A vDEVICE does not outlive its device: when
 * the device is unbound first, nothing reaches the device through the vDEVICE
 * any more and its @virt_id is free again. @out_vdevice_id stays allocated, and
 * good for nothing but IOMMU_DESTROY, which succeeds, until that or the close of
 * the iommufd.
 *
 * Errors: ENOENT for an unknown vIOMMU or device; EINVAL for a device behind
 * another physical IOMMU and for a @virt_id out of the type's range; EEXIST for
 * a device that has a vDEVICE and for a @virt_id in use on the vIOMMU;
 * EOPNOTSUPP for a device that the type can't have, as one with several
 * StreamIDs behind an %IOMMU_VIOMMU_TYPE_ARM_SMMUV3.
 */
struct iommu_vdevice_alloc {
	__u32 size;
	__u32 viommu_id;
	__u32 dev_id;
	__u32 out_vdevice_id;
	__aligned_u64 virt_id;
};

#define IOMMU_VDEVICE_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VDEVICE_ALLOC)

/**
 * enum iommu_hwpt_invalidate_report_flags - Output flags of
 *                                           IOMMU_HWPT_INVALIDATE
 * @IOMMU_HWPT_INVALIDATE_REPORT_VALID: The report fields were filled in. Without
 *                                      it no entry was executed, or the kernel
 *                                      does not know the report.
 * @IOMMU_HWPT_INVALIDATE_REPORT_HW: The physical IOMMU raised the error, as
 *                                   opposed to a check by the kernel
 */
enum iommu_hwpt_invalidate_report_flags {
	IOMMU_HWPT_INVALIDATE_REPORT_VALID = 1 << 0,
	IOMMU_HWPT_INVALIDATE_REPORT_HW = 1 << 1,
};

/**
 * enum iommu_arm_smmuv3_cerror - Command error codes of an SMMUv3
 * @IOMMU_ARM_SMMUV3_CERROR_NONE: No error
 * @IOMMU_ARM_SMMUV3_CERROR_ILL: The command is illegal
 * @IOMMU_ARM_SMMUV3_CERROR_ABT: The command could not be fetched
 * @IOMMU_ARM_SMMUV3_CERROR_ATC_INV_SYNC: An ATC invalidation timed out
 *
 * The values of SMMU_CMDQ_CONS.ERR (IHI 0070, section 7.1), and of
 * iommu_hwpt_invalidate::out_error_code for an SMMUv3. A code that is reserved there,
 * should an SMMU raise one, is passed on as it is.
 */
enum iommu_arm_smmuv3_cerror {
	IOMMU_ARM_SMMUV3_CERROR_NONE = 0,
	IOMMU_ARM_SMMUV3_CERROR_ILL = 1,
	IOMMU_ARM_SMMUV3_CERROR_ABT = 2,
	IOMMU_ARM_SMMUV3_CERROR_ATC_INV_SYNC = 3,
};

/**
 * struct iommu_hwpt_arm_smmuv3 - Nested HWPT of an SMMUv3
 *                                (IOMMU_HWPT_DATA_ARM_SMMUV3)
 * @ste: Words 0 and 1 of the guest's Stream Table Entry, little-endian
 *
 * Bits that may be set: V, Config, S1Fmt, S1ContextPtr, S1CDMax in word 0;
 * S1DSS, S1CIR, S1COR, S1CSH, S1STALLD, EATS in word 1 (IHI 0070, section 5.2).
 * V == 0 and Config abort, bypass and stage 1 are supported. S1ContextPtr is an
 * address of the nest parent's input space.
 *
 * The pt_id is a vIOMMU. A device is attached to an STE with stage 1 only if it has
 * a vDEVICE on that vIOMMU, ENOENT otherwise.
 *
 * Errors of IOMMU_HWPT_ALLOC: EIO for an STE that is illegal on this hardware;
 * EINVAL for an unknown pt_id, for another type of data or data too short, and for
 * a device behind another physical IOMMU; EOPNOTSUPP for no data, for flags other
 * than IOMMU_HWPT_FAULT_ID_VALID, and for a pt_id that is a nest parent itself.
 */
struct iommu_hwpt_arm_smmuv3 {
	__aligned_le64 ste[2];
};

/**
 * struct iommu_hw_info_arm_smmuv3 - SMMUv3 hardware information
 *                                   (IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
 * @flags: Always 0
 * @__reserved: Always 0
 * @idr: SMMU_IDR0 to SMMU_IDR5 as the hardware shows them
 * @iidr: SMMU_IIDR
 * @aidr: SMMU_AIDR
 *
 * The raw registers tell what the physical SMMU is. A VMM builds its guest's
 * registers from them and leaves out what it does not emulate and what
 * nesting does not offer to a guest: stage 2, the hypervisor's translation
 * regimes, broadcast TLB maintenance, page requests, MSIs of the SMMU, extended
 * command queues. Those of interest for stage 1 are IDR0.{TTF, COHACC, HTTU, ASID16,
 * CD2L, STALL_MODEL, TERM_MODEL, ATS, TTENDIAN}, IDR1.{SIDSIZE, SSIDSIZE},
 * IDR3.{HAD, RIL, BBML} and IDR5.{OAS, GRAN4K, GRAN16K, GRAN64K, VAX}.
 *
 * Firmware can tell the kernel that HTTU and COHACC are not as the registers have
 * them. A guest is not to be shown HTTU unless the platform is known to have it.
 * COHACC can be 1: a device that is not coherent is refused when it is bound. ATS
 * is of use for a device only without %IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED.
 */
struct iommu_hw_info_arm_smmuv3 {
	__u32 flags;
	__u32 __reserved;
	__u32 idr[6];
	__u32 iidr;
	__u32 aidr;
};

/**
 * struct iommu_viommu_arm_smmuv3_invalidate - One guest command
 *                                 (IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3)
 * @cmd: The 128 bit command as in the guest's queue, little-endian
 *
 * Accepted: TLBI_NSNH_ALL, TLBI_NH_ALL, TLBI_NH_ASID, TLBI_NH_VA, TLBI_NH_VAA,
 * CFGI_CD, CFGI_CD_ALL and, for a device with ATS, ATC_INV. The kernel replaces
 * the VMID (a guest's must be 0) and the StreamID, which names a vDEVICE. All
 * others, one with the StreamID of no vDEVICE, and a command that the physical
 * SMMU might answer with CERROR_ILL are not issued: such a command ends the array
 * with EIO and %IOMMU_ARM_SMMUV3_CERROR_ILL.
 */
struct iommu_viommu_arm_smmuv3_invalidate {
	__aligned_le64 cmd[2];
};

/**
 * enum iommu_veventq_type - Type of a virtual event queue
 * @IOMMU_VEVENTQ_TYPE_DEFAULT: Reserved, no vEVENTQ has it
 * @IOMMU_VEVENTQ_TYPE_ARM_SMMUV3: Event records of an SMMUv3
 */
enum iommu_veventq_type {
	IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
	IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
};

/**
 * enum iommu_veventq_flag - Flags of struct iommufd_vevent_header
 * @IOMMU_VEVENTQ_FLAG_LOST_EVENTS: No record follows: the events up to and
 *                                  including the header's sequence were lost
 */
enum iommu_veventq_flag {
	IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1U << 0,
};

/**
 * struct iommufd_vevent_header - Precedes every record of a vEVENTQ
 * @flags: Combination of enum iommu_veventq_flag
 * @sequence: Number of the event, 0 to INT_MAX and then 0 again
 *
 * Every event of the queue has a number, also one that was lost because the
 * queue was full: a gap between two records tells how many were lost between
 * them. Events that were lost before they got to the queue, as those that find
 * the hardware's own queue full, count as one: nobody knows how many there were,
 * or whether one was for this queue. A loss after the last record shows as a
 * header alone with
 * %IOMMU_VEVENTQ_FLAG_LOST_EVENTS and the number of the last event lost, unless
 * another event arrives before it is read: then the gap tells.
 */
struct iommufd_vevent_header {
	__u32 flags;
	__u32 sequence;
};

/**
 * struct iommu_vevent_arm_smmuv3 - Event record of an SMMUv3
 *                                  (IOMMU_VEVENTQ_TYPE_ARM_SMMUV3)
 * @evt: The 256 bit record, little-endian
 *
 * The StreamID is the guest's. Fields that are UNKNOWN for a stage 1 event or
 * that would name host memory are 0 (IHI 0070, section 7.3).
 */
struct iommu_vevent_arm_smmuv3 {
	__aligned_le64 evt[4];
};

/**
 * struct iommu_veventq_alloc - ioctl(IOMMU_VEVENTQ_ALLOC)
 * @size: sizeof(struct iommu_veventq_alloc)
 * @flags: Must be 0
 * @viommu_id: The vIOMMU whose events to receive
 * @type: One of enum iommu_veventq_type
 * @veventq_depth: Number of records that the queue holds, 1 to 2^19
 * @out_veventq_id: Output, the ID of the new vEVENTQ
 * @out_veventq_fd: Output, the file to read. The caller closes it.
 * @__reserved: Must be 0
 *
 * A vIOMMU has at most one vEVENTQ of a type. The memory of the queue is
 * allocated here and charged to the caller.
 *
 * read() returns as many whole records as there are and as fit: a header each,
 * followed by its data. It fails with EINVAL if the next record does not fit
 * and with EFAULT if it can't be written, and neither loses an event. An empty
 * queue gives 0, or EAGAIN if the file is O_NONBLOCK. poll() reports POLLIN when
 * read() would return data. The open file keeps the vEVENTQ: IOMMU_DESTROY
 * answers EBUSY until it is closed.
 *
 * Errors: EOPNOTSUPP for flags and for a type that the vIOMMU does not have;
 * ENOENT for an unknown vIOMMU; EINVAL for a depth out of range; EEXIST for a
 * second queue of the type.
 */
struct iommu_veventq_alloc {
	__u32 size;
	__u32 flags;
	__u32 viommu_id;
	__u32 type;
	__u32 veventq_depth;
	__u32 out_veventq_id;
	__u32 out_veventq_fd;
	__u32 __reserved;
};

#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, IOMMUFD_CMD_VEVENTQ_ALLOC)

#endif
