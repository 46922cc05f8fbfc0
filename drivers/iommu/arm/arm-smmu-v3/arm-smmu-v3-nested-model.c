// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: an SMMU that is plain memory, see arm-smmu-v3-nested-model.h
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-priv.h"
#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"
#include "arm-smmu-v3-nested-model.h"
#include "arm-smmu-v3-viommu.h"

#define MODEL_EVTQ_PROD		0x800
#define MODEL_EVTQ_CONS		0x804
#define MODEL_ATS_CAP		0x100

/* The third of the values that IDR0.STALL_MODEL can have */
#define MODEL_STALL_MODEL_TERM	1

/* The driver asks where each of its commands goes, so the SMMU knows of it */
static struct arm_smmu_cmdq *model_command(struct arm_smmu_device *smmu,
					   struct arm_smmu_cmdq_ent *ent)
{
	struct nested_model *m = container_of(smmu, struct nested_model, smmu);

	/* Lockdep knows, if there is */
	if (debug_lockdep_rcu_enabled() && rcu_read_lock_held())
		m->cmds_in_rcu++;
	if (ent->opcode == CMDQ_OP_CFGI_STE) {
		m->ste_looks++;
		m->ste_invalid += !(nested_model_ste(m, ent->cfgi.sid, 0) &
				    STRTAB_STE_0_V);
	}
	return NULL;
}

static const struct arm_smmu_impl_ops model_impl_ops = {
	.get_secondary_cmdq = model_command,
};

static void model_free(void *data)
{
	struct nested_model *m = data;

	if (m->smmu.evtq.iopf)
		iopf_queue_free(m->smmu.evtq.iopf);
	xa_destroy(&m->smmu.vdevs);
	xa_destroy(&m->smmu.nested_sids);
	ida_destroy(&m->smmu.vmid_map);
}

static void model_init_regs(struct nested_model *m,
			    const struct nested_model_conf *conf)
{
	u32 idr0 = IDR0_S1P | IDR0_S2P | IDR0_ASID16 | IDR0_VMID16 |
		   FIELD_PREP(IDR0_STALL_MODEL, conf->stall_model) |
		   (conf->ats ? IDR0_ATS : 0);

	writel(idr0, m->smmu.base + ARM_SMMU_IDR0);
	writel(FIELD_PREP(IDR1_SSIDSIZE, conf->ssid_bits),
	       m->smmu.base + ARM_SMMU_IDR1);
	writel(conf->fwb ? IDR3_FWB : 0, m->smmu.base + ARM_SMMU_IDR3);
	writel(0, m->smmu.base + ARM_SMMU_IDR5);

	m->smmu.features = ARM_SMMU_FEAT_TRANS_S1 | ARM_SMMU_FEAT_TRANS_S2 |
			   ARM_SMMU_FEAT_NESTING | ARM_SMMU_FEAT_COHERENCY;
	if (conf->fwb)
		m->smmu.features |= ARM_SMMU_FEAT_S2FWB;
	if (conf->ats)
		m->smmu.features |= ARM_SMMU_FEAT_ATS;
	if (conf->stall_model != MODEL_STALL_MODEL_TERM)
		m->smmu.features |= ARM_SMMU_FEAT_STALLS;
	if (conf->stall_model == IDR0_STALL_MODEL_FORCE)
		m->smmu.features |= ARM_SMMU_FEAT_STALL_FORCE;
}

static void model_init_queues(struct nested_model *m)
{
	struct arm_smmu_queue *cmdq = &m->smmu.cmdq.q;
	struct arm_smmu_queue *evtq = &m->smmu.evtq.q;
	unsigned int num = 1 << NESTED_MODEL_CMDQ_SHIFT;

	cmdq->prod_reg = m->smmu.base + ARM_SMMU_CMDQ_PROD;
	cmdq->cons_reg = cmdq->prod_reg;
	cmdq->ent_dwords = CMDQ_ENT_DWORDS;
	cmdq->llq.max_n_shift = NESTED_MODEL_CMDQ_SHIFT;
	cmdq->base = kunit_kcalloc(m->test, num, 1 << CMDQ_ENT_SZ_SHIFT,
				   GFP_KERNEL);
	m->smmu.cmdq.valid_map =
		kunit_kcalloc(m->test, BITS_TO_LONGS(num),
			      sizeof(*m->smmu.cmdq.valid_map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(m->test, cmdq->base);
	KUNIT_ASSERT_NOT_NULL(m->test, m->smmu.cmdq.valid_map);
	arm_smmu_cmdq_errors_init(&m->smmu);

	evtq->prod_reg = m->smmu.base + MODEL_EVTQ_PROD;
	evtq->cons_reg = m->smmu.base + MODEL_EVTQ_CONS;
	evtq->ent_dwords = EVTQ_ENT_DWORDS;
	evtq->llq.max_n_shift = NESTED_MODEL_EVTQ_SHIFT;
	evtq->base = kunit_kcalloc(m->test, 1 << NESTED_MODEL_EVTQ_SHIFT,
				   1 << EVTQ_ENT_SZ_SHIFT, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(m->test, evtq->base);
}

/* Goes with the test, as does all of what follows */
struct nested_model *nested_model(struct kunit *test,
				  const struct nested_model_conf *conf)
{
	static atomic_t num;
	struct nested_model *m;
	char name[32];
	void *regs;

	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	regs = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_NOT_NULL(test, regs);
	m->test = test;
	m->smmu.base = (void __iomem *)regs;
	m->smmu.impl_ops = &model_impl_ops;
	/* A case can have several */
	snprintf(name, sizeof(name), "arm-smmu-v3-memory.%d",
		 atomic_inc_return(&num));
	m->smmu.dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, m->smmu.dev);

	m->stes = kunit_kcalloc(test, NESTED_MODEL_SIDS, sizeof(*m->stes),
				GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->stes);
	m->smmu.strtab_cfg.linear.table = m->stes;
	m->smmu.strtab_cfg.linear.num_ents = NESTED_MODEL_SIDS;

	model_init_regs(m, conf);
	m->smmu.options = ARM_SMMU_OPT_SKIP_PREFETCH;
	m->smmu.ias = 40;
	m->smmu.oas = 44;
	m->smmu.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G;
	m->smmu.asid_bits = 16;
	m->smmu.vmid_bits = conf->vmid_bits ?: 16;
	ida_init(&m->smmu.vmid_map);
	m->smmu.iommu.ops = &arm_smmu_ops;
	mutex_init(&m->smmu.streams_mutex);
	m->smmu.streams = RB_ROOT;
	xa_init(&m->smmu.vdevs);
	xa_init(&m->smmu.nested_sids);
	m->smmu.evtq.iopf = iopf_queue_alloc("arm-smmu-v3-memory");
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, model_free, m));
	KUNIT_ASSERT_NOT_NULL(test, m->smmu.evtq.iopf);
	model_init_queues(m);

	m->uaddr = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(m->uaddr));
	return m;
}

/*
 * Devices
 */

static void model_dev_remove(void *data)
{
	struct nested_model_dev *d = data;

	nested_model_attach(d, arm_smmu_ops.blocked_domain, NULL);
	if (d->master.iopf_enabled)
		arm_smmu_ops.dev_disable_feat(d->dev, IOMMU_DEV_FEAT_IOPF);
	arm_smmu_remove_master(&d->master);
	iommu_group_put(d->dev->iommu_group);
	d->dev->iommu_group = NULL;
	d->dev->iommu = NULL;
}

/* As arm_smmu_probe_device(), and the group has no devices that the core knows of */
static void model_dev_probe(struct nested_model_dev *d, const u32 *sids,
			    unsigned int num_sids)
{
	struct nested_model *m = d->m;
	struct iommu_fwspec *fwspec;
	struct iommu_group *group;

	fwspec = kunit_kzalloc(m->test, struct_size(fwspec, ids, num_sids),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(m->test, fwspec);
	fwspec->flags = IOMMU_FWSPEC_PCI_RC_CANWBS | IOMMU_FWSPEC_PCI_RC_ATS;
	fwspec->num_ids = num_sids;
	memcpy(fwspec->ids, sids, num_sids * sizeof(*sids));

	mutex_init(&d->iommu.lock);
	d->iommu.fwspec = fwspec;
	d->iommu.iommu_dev = &m->smmu.iommu;
	d->dev->iommu = &d->iommu;
	d->iommu.priv = &d->master;

	d->master.dev = d->dev;
	d->master.smmu = &m->smmu;
	d->master.stall_enabled = m->smmu.features & ARM_SMMU_FEAT_STALL_FORCE;

	group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(m->test, group);
	d->dev->iommu_group = group;
	KUNIT_ASSERT_EQ(m->test, 0, arm_smmu_insert_master(&m->smmu, &d->master));
	KUNIT_ASSERT_EQ(m->test, 0,
			kunit_add_action_or_reset(m->test, model_dev_remove, d));
	KUNIT_ASSERT_EQ(m->test, 0,
			nested_model_attach(d, arm_smmu_ops.blocked_domain, NULL));
}

static struct nested_model_dev *model_dev_alloc(struct nested_model *m)
{
	struct nested_model_dev *d = kunit_kzalloc(m->test, sizeof(*d), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(m->test, d);
	d->m = m;
	return d;
}

struct nested_model_dev *nested_model_dev(struct nested_model *m,
					  const char *name, const u32 *sids,
					  unsigned int num_sids)
{
	struct nested_model_dev *d = model_dev_alloc(m);

	d->dev = kunit_device_register(m->test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(m->test, d->dev);
	model_dev_probe(d, sids, num_sids);
	return d;
}

static int model_config_read(struct pci_bus *bus, unsigned int devfn, int where,
			     int size, u32 *val)
{
	struct nested_model_dev *d =
		container_of(bus, struct nested_model_dev, bus);

	*val = where == MODEL_ATS_CAP + PCI_ATS_CTRL ? d->ats_ctrl : 0;
	return PCIBIOS_SUCCESSFUL;
}

static int model_config_write(struct pci_bus *bus, unsigned int devfn, int where,
			      int size, u32 val)
{
	struct nested_model_dev *d =
		container_of(bus, struct nested_model_dev, bus);

	if (where == MODEL_ATS_CAP + PCI_ATS_CTRL) {
		d->ats_ctrl = val;
		d->ats_writes++;
		if (d->at_write)
			d->at_write(d);
		d->ste_at_write =
			nested_model_ste(d->m, d->master.streams[0].id, 1);
		d->cmds_at_write = nested_model_issued(d->m);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops model_pci_ops = {
	.read = model_config_read,
	.write = model_config_write,
};

/* With ATS in the device and the root complex */
struct nested_model_dev *nested_model_pci_dev(struct nested_model *m, u32 sid)
{
	struct nested_model_dev *d = model_dev_alloc(m);

	d->bus.ops = &model_pci_ops;
	d->pdev.bus = &d->bus;
	d->pdev.ats_cap = MODEL_ATS_CAP;
	d->pdev.dev.bus = &pci_bus_type;
	d->pdev.dev.init_name = "arm-smmu-v3-memory-pci";
	d->dev = &d->pdev.dev;
	model_dev_probe(d, &sid, 1);
	return d;
}

static int model_attach(struct nested_model_dev *d, struct iommu_domain *domain,
			struct iommu_attach_handle *handle)
{
	int ret;

	ret = domain->ops->attach_dev(domain, d->dev);
	if (ret)
		return ret;
	return iommu_replace_group_handle(d->dev->iommu_group, domain, handle);
}

static void model_detach(void *data)
{
	model_attach(data, arm_smmu_ops.blocked_domain, NULL);
}

/*
 * In the order of iommu_replace_group_handle(). The end of the test detaches
 * before the domain is freed, which was there first.
 */
int nested_model_attach(struct nested_model_dev *d, struct iommu_domain *domain,
			struct iommu_attach_handle *handle)
{
	int ret = model_attach(d, domain, handle);

	if (!ret && domain != arm_smmu_ops.blocked_domain)
		ret = kunit_add_action_or_reset(d->m->test, model_detach, d);
	return ret;
}

/*
 * Domains and vIOMMUs
 */

static void model_domain_free(void *data)
{
	struct iommu_domain *domain = data;

	domain->ops->free(domain);
}

static void model_domain_add(struct nested_model *m, struct iommu_domain *domain)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(m->test, domain);
	domain->owner = &arm_smmu_ops;
	KUNIT_ASSERT_EQ(m->test, 0,
			kunit_add_action_or_reset(m->test, model_domain_free,
						  domain));
}

struct iommu_domain *nested_model_parent(struct nested_model_dev *d, u32 flags)
{
	struct iommu_domain *domain;

	domain = arm_smmu_ops.domain_alloc_user(d->dev, flags, NULL, NULL);
	model_domain_add(d->m, domain);
	return domain;
}

void nested_model_viommu_destroy(struct nested_model_viommu *v)
{
	if (v->made)
		v->smmu.core.ops->viommu_destroy(&v->smmu.core);
	v->made = false;
}

static void model_viommu_free(void *data)
{
	struct nested_model_viommu *v = data;

	xa_destroy(&v->smmu.core.vdevs);
	nested_model_viommu_destroy(v);
}

int nested_model_viommu_init(struct nested_model_viommu *v,
			     struct nested_model_dev *d,
			     struct iommu_domain *parent)
{
	struct iommufd_viommu *core = &v->smmu.core;
	int ret;

	core->ops = arm_smmu_ops.viommu_ops(d->dev, IOMMU_VIOMMU_TYPE_ARM_SMMUV3);
	if (!core->ops)
		return -EOPNOTSUPP;
	core->iommu_dev = &d->m->smmu.iommu;
	core->parent = parent;
	core->type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3;
	xa_init(&core->vdevs);
	INIT_LIST_HEAD(&core->veventqs);
	spin_lock_init(&core->veventqs_lock);

	ret = core->ops->viommu_init(core, NULL);
	v->made = !ret;
	return ret;
}

struct nested_model_viommu *nested_model_viommu(struct nested_model_dev *d,
						struct iommu_domain *parent)
{
	struct kunit *test = d->m->test;
	struct nested_model_viommu *v;
	struct iommufd_veventq *q;

	v = kunit_kzalloc(test, sizeof(*v), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, v);
	KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v, d, parent));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, model_viommu_free, v));

	q = &v->veventq;
	q->type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3;
	q->record_len = sizeof(struct iommu_vevent_arm_smmuv3);
	q->stride = sizeof(struct iommufd_vevent_header) + q->record_len;
	q->records = kunit_kcalloc(test, NESTED_MODEL_EVENTS, q->stride, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q->records);
	spin_lock_init(&q->lock);
	init_waitqueue_head(&q->wait);
	iommufd_veventq_ring_init(&q->ring, NESTED_MODEL_EVENTS);
	list_add_tail(&q->node, &v->smmu.core.veventqs);
	return v;
}

/* Runs before KUnit frees the vDEVICE, and that before the vIOMMU */
static void model_vdev_unpublish(void *data)
{
	struct iommufd_vdevice *vdev = data;
	struct iommufd_viommu *viommu = vdev->viommu;

	xa_erase(&viommu->vdevs, vdev->virt_id);
	viommu->ops->vdevice_unpublish(vdev);
}

int nested_model_vdev(struct nested_model_viommu *v, struct nested_model_dev *d,
		      u64 vsid)
{
	struct kunit *test = d->m->test;
	struct arm_smmu_vdevice *vdev;
	int ret;

	vdev = kunit_kzalloc(test, sizeof(*vdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vdev);
	vdev->core.viommu = &v->smmu.core;
	vdev->core.dev = d->dev;
	vdev->core.virt_id = vsid;
	ret = v->smmu.core.ops->vdevice_init(&vdev->core);
	if (ret)
		return ret;
	KUNIT_ASSERT_EQ(test, 0,
			xa_err(xa_store(&v->smmu.core.vdevs, vsid, &vdev->core,
					GFP_KERNEL)));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, model_vdev_unpublish,
						  &vdev->core));
	return 0;
}

/* @w0 and @w1 of the guest's STE, as IOMMU_HWPT_ALLOC gets them */
struct iommu_domain *nested_model_nested(struct nested_model_viommu *v, u64 w0,
					 u64 w1)
{
	struct nested_model *m =
		container_of(v->smmu.smmu, struct nested_model, smmu);
	struct iommu_hwpt_arm_smmuv3 arg = {
		.ste = { cpu_to_le64(w0), cpu_to_le64(w1) },
	};
	struct iommu_user_data user_data = {
		.type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.uptr = (void __user *)m->uaddr,
		.len = sizeof(arg),
	};
	struct iommu_domain *domain;

	KUNIT_ASSERT_EQ(m->test, 0,
			copy_to_user(user_data.uptr, &arg, sizeof(arg)));
	domain = v->smmu.core.ops->domain_alloc_nested(&v->smmu.core, 0,
						       &user_data);
	model_domain_add(m, domain);
	return domain;
}

/*
 * What the SMMU sees and says
 */

unsigned int nested_model_issued(struct nested_model *m)
{
	return readl(m->smmu.cmdq.q.prod_reg);
}

u64 nested_model_cmd(struct nested_model *m, unsigned int n, unsigned int word)
{
	struct arm_smmu_queue *q = &m->smmu.cmdq.q;

	return le64_to_cpu(q->base[Q_IDX(&q->llq, n) * CMDQ_ENT_DWORDS + word]);
}

/* Of the commands from @from on that have a StreamID; ~0 for any */
unsigned int nested_model_count(struct nested_model *m, unsigned int from, u8 op,
				u32 sid)
{
	unsigned int n = 0;

	for (; from != nested_model_issued(m); from = nested_model_next(from)) {
		u64 w0 = nested_model_cmd(m, from, 0);

		n += FIELD_GET(CMDQ_0_OP, w0) == op &&
		     (sid == ~0U || FIELD_GET(CMDQ_CFGI_0_SID, w0) == sid);
	}
	return n;
}

u64 nested_model_ste(struct nested_model *m, u32 sid, unsigned int word)
{
	return le64_to_cpu(m->stes[sid].data[word]);
}

void nested_model_event(struct nested_model *m, const u64 *evt)
{
	struct arm_smmu_queue *q = &m->smmu.evtq.q;
	u32 prod = readl(q->prod_reg);
	unsigned int i;

	for (i = 0; i < EVTQ_ENT_DWORDS; i++)
		q->base[Q_IDX(&q->llq, prod) * EVTQ_ENT_DWORDS + i] =
			cpu_to_le64(evt[i]);
	prod = (prod + 1) & ((2U << NESTED_MODEL_EVTQ_SHIFT) - 1);
	writel(prod, q->prod_reg);
}

void nested_model_irq(struct nested_model *m)
{
	arm_smmu_evtq_thread(0, &m->smmu);
}

/* The next record of the vEVENTQ, CPU-endian; false if there is none */
bool nested_model_vevent(struct nested_model_viommu *v, u64 *evt)
{
	struct iommufd_vevent_header *header;
	const __le64 *rec;
	unsigned int i;
	u32 slot;

	if (iommufd_veventq_ring_peek(&v->veventq.ring, &slot) !=
	    IOMMUFD_VEVENTQ_RECORD)
		return false;
	header = iommufd_veventq_record(&v->veventq, slot);
	rec = (const __le64 *)(header + 1);
	for (i = 0; i < EVTQ_ENT_DWORDS; i++)
		evt[i] = le64_to_cpu(rec[i]);
	iommufd_veventq_ring_consume(&v->veventq.ring, IOMMUFD_VEVENTQ_RECORD, slot);
	return true;
}

/* iommu_replace_group_handle() */
MODULE_IMPORT_NS(IOMMUFD_INTERNAL);
