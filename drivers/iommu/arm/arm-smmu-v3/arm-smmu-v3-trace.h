/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: what the log does not say of guests, as a guest could fill it
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM arm_smmu_v3

#if !defined(_ARM_SMMU_V3_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _ARM_SMMU_V3_TRACE_H

#include <linux/device.h>
#include <linux/iommufd_viommu.h>
#include <linux/tracepoint.h>

#ifndef _ARM_SMMU_V3_TRACE_ENUM
#define _ARM_SMMU_V3_TRACE_ENUM
/* Whose command an error of the command queue is about */
enum arm_smmu_cmdq_origin {
	ARM_SMMU_CMDQ_HOST,
	ARM_SMMU_CMDQ_REPORTED,
	ARM_SMMU_CMDQ_ABANDONED,
};
#endif

TRACE_DEFINE_ENUM(ARM_SMMU_CMDQ_HOST);
TRACE_DEFINE_ENUM(ARM_SMMU_CMDQ_REPORTED);
TRACE_DEFINE_ENUM(ARM_SMMU_CMDQ_ABANDONED);

/* A reported batch is over */
TRACE_EVENT(arm_smmu_cmdq_batch,
	TP_PROTO(struct device *dev, u32 start, u32 num, bool sync, int ret),

	TP_ARGS(dev, start, num, sync, ret),

	TP_STRUCT__entry(
		__string(device, dev_name(dev))
		__field(u32, start)
		__field(u32, num)
		__field(bool, sync)
		__field(int, ret)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->start = start;
		__entry->num = num;
		__entry->sync = sync;
		__entry->ret = ret;
	),

	TP_printk("%s: %u commands%s at slot 0x%x: %d", __get_str(device),
		  __entry->num, __entry->sync ? " and CMD_SYNC" : "",
		  __entry->start, __entry->ret)
);

/* CMDQ_ERR is about to be acknowledged; @offset is 0 for a host's command */
TRACE_EVENT(arm_smmu_cmdq_error,
	TP_PROTO(struct device *dev, u32 code, u32 cons, u32 offset,
		 enum arm_smmu_cmdq_origin origin),

	TP_ARGS(dev, code, cons, offset, origin),

	TP_STRUCT__entry(
		__string(device, dev_name(dev))
		__field(u32, code)
		__field(u32, cons)
		__field(u32, offset)
		__field(u32, origin)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->code = code;
		__entry->cons = cons;
		__entry->offset = offset;
		__entry->origin = origin;
	),

	TP_printk("%s: error %u at slot 0x%x, %s offset %u",
		  __get_str(device), __entry->code, __entry->cons,
		  __print_symbolic(__entry->origin,
				   { ARM_SMMU_CMDQ_HOST,	"host" },
				   { ARM_SMMU_CMDQ_REPORTED,	"reported" },
				   { ARM_SMMU_CMDQ_ABANDONED,	"abandoned" }),
		  __entry->offset)
);

/* A vIOMMU's array is over; @vmid is that of the vIOMMU, and tells VMs apart */
TRACE_EVENT(arm_smmu_viommu_invalidate,
	TP_PROTO(struct device *dev, u16 vmid, u32 num, u32 done, int ret,
		 const struct iommufd_invalidate_report *report),

	TP_ARGS(dev, vmid, num, done, ret, report),

	TP_STRUCT__entry(
		__string(device, dev_name(dev))
		__field(u16, vmid)
		__field(u32, num)
		__field(u32, done)
		__field(int, ret)
		__field(u32, flags)
		__field(u32, code)
		__field(u32, index)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->vmid = vmid;
		__entry->num = num;
		__entry->done = done;
		__entry->ret = ret;
		__entry->flags = report->flags;
		__entry->code = report->error_code;
		__entry->index = report->error_index;
	),

	TP_printk("%s: VMID 0x%x %u of %u commands: %d, report 0x%x code %u index %u",
		  __get_str(device), __entry->vmid, __entry->done, __entry->num,
		  __entry->ret, __entry->flags, __entry->code, __entry->index)
);

/* An event of a guest's stage 1; @ret is why it did not reach a vEVENTQ, or 0 */
TRACE_EVENT(arm_smmu_vevent,
	TP_PROTO(struct device *dev, u32 sid, u32 vsid, u8 id, int ret),

	TP_ARGS(dev, sid, vsid, id, ret),

	TP_STRUCT__entry(
		__string(device, dev_name(dev))
		__field(u32, sid)
		__field(u32, vsid)
		__field(u8, id)
		__field(int, ret)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->sid = sid;
		__entry->vsid = vsid;
		__entry->id = id;
		__entry->ret = ret;
	),

	TP_printk("%s: event 0x%02x of SID 0x%x vSID 0x%x %s: %d",
		  __get_str(device), __entry->id, __entry->sid, __entry->vsid,
		  __entry->ret ? "dropped" : "forwarded", __entry->ret)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/iommu/arm/arm-smmu-v3
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE arm-smmu-v3-trace
#include <trace/define_trace.h>
