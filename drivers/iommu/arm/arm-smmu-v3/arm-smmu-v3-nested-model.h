/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit: an SMMU that is plain memory, and what a VMM makes of it
 *
 * The SMMUv3 driver's own operations run on it, unchanged: struct iommu_ops, the
 * vIOMMU's and the event thread. The registers, the stream table, the command
 * queue and the event queue are memory. The SMMU has consumed each command as
 * soon as it is told of it, because CMDQ_CONS and CMDQ_PROD are the same word;
 * what the driver issued is found in the queue, in order. A CFGI_STE also has it look
 * at the STE. An event is recorded by nested_model_event(), and seen when the event
 * thread runs.
 *
 * What iommufd does is done by hand here. The devices belong to no bus that the
 * IOMMU core looks at; a PCI device has a configuration space of one register,
 * its ATS control.
 */
#ifndef _ARM_SMMU_V3_NESTED_MODEL_H
#define _ARM_SMMU_V3_NESTED_MODEL_H

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#include "../../iommufd/iommufd_private.h"
#include "arm-smmu-v3.h"
#include "arm-smmu-v3-viommu.h"

#define NESTED_MODEL_SIDS	256
#define NESTED_MODEL_CMDQ_SHIFT	10
#define NESTED_MODEL_EVTQ_SHIFT	5
#define NESTED_MODEL_EVENTS	16

/*
 * struct nested_model_conf - What kind of SMMU
 * @stall_model: IDR0.STALL_MODEL
 * @fwb: IDR3.FWB
 * @ats: IDR0.ATS
 * @vmid_bits: Bits of a VMID, 0 for 16
 * @ssid_bits: IDR1.SSIDSIZE
 */
struct nested_model_conf {
	u8 stall_model;
	bool fwb;
	bool ats;
	u8 vmid_bits;
	u8 ssid_bits;
};

/*
 * struct nested_model - The SMMU
 * @smmu: What the driver knows of it
 * @test: The test
 * @stes: The stream table
 * @uaddr: User memory for the VMM's structures
 * @ste_looks: How often the SMMU was told to look at an STE again
 * @ste_invalid: and found it invalid
 * @cmds_in_rcu: How often commands were about to be issued in an RCU read-side critical
 *               section
 */
struct nested_model {
	struct arm_smmu_device smmu;
	struct kunit *test;
	struct arm_smmu_ste *stes;
	unsigned long uaddr;
	unsigned int ste_looks;
	unsigned int ste_invalid;
	unsigned int cmds_in_rcu;
};

/*
 * struct nested_model_dev - A device behind it
 * @m: The SMMU
 * @dev: The device
 * @master: What the driver knows of it
 * @iommu: What the IOMMU core knows of it
 * @pdev: A PCI device, if that is what @dev is in
 * @bus: Of @pdev
 * @ats_ctrl: The ATS control register of @pdev
 * @ats_writes: How often it was written
 * @ste_at_write: Word 1 of the STE when it was written last
 * @cmds_at_write: The number of commands that had been issued by then
 * @at_write: Called meanwhile, optional
 * @at_write_domain: The domain in which @at_write unmaps
 */
struct nested_model_dev {
	struct nested_model *m;
	struct device *dev;
	struct arm_smmu_master master;
	struct dev_iommu iommu;
	struct pci_dev pdev;
	struct pci_bus bus;
	u16 ats_ctrl;
	unsigned int ats_writes;
	u64 ste_at_write;
	unsigned int cmds_at_write;
	void (*at_write)(struct nested_model_dev *d);
	struct iommu_domain *at_write_domain;
};

/* struct nested_model_viommu - A vIOMMU with a vEVENTQ of NESTED_MODEL_EVENTS */
struct nested_model_viommu {
	struct arm_smmu_viommu smmu;
	struct iommufd_veventq veventq;
	bool made;
};

struct nested_model *nested_model(struct kunit *test,
				  const struct nested_model_conf *conf);
struct nested_model_dev *nested_model_dev(struct nested_model *m,
					  const char *name, const u32 *sids,
					  unsigned int num_sids);
struct nested_model_dev *nested_model_pci_dev(struct nested_model *m, u32 sid);
struct iommu_domain *nested_model_parent(struct nested_model_dev *d, u32 flags);
struct nested_model_viommu *nested_model_viommu(struct nested_model_dev *d,
						struct iommu_domain *parent);
int nested_model_viommu_init(struct nested_model_viommu *v,
			     struct nested_model_dev *d,
			     struct iommu_domain *parent);
void nested_model_viommu_destroy(struct nested_model_viommu *v);
int nested_model_vdev(struct nested_model_viommu *v, struct nested_model_dev *d,
		      u64 vsid);
struct iommu_domain *nested_model_nested(struct nested_model_viommu *v, u64 w0,
					 u64 w1);
int nested_model_attach(struct nested_model_dev *d, struct iommu_domain *domain,
			struct iommu_attach_handle *handle);

static inline unsigned int nested_model_next(unsigned int n)
{
	return (n + 1) & ((2U << NESTED_MODEL_CMDQ_SHIFT) - 1);
}

unsigned int nested_model_issued(struct nested_model *m);
u64 nested_model_cmd(struct nested_model *m, unsigned int n, unsigned int word);
unsigned int nested_model_count(struct nested_model *m, unsigned int from, u8 op,
				u32 sid);
u64 nested_model_ste(struct nested_model *m, u32 sid, unsigned int word);

void nested_model_event(struct nested_model *m, const u64 *evt);
void nested_model_irq(struct nested_model *m);
bool nested_model_vevent(struct nested_model_viommu *v, u64 *evt);

#endif
