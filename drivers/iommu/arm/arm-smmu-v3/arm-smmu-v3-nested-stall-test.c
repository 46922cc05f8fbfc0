// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: events and stalled transactions of devices on nested domains
 *
 * From the SMMU's record in the event queue, through the driver's event thread, to
 * the vEVENTQ, to a fault queue, or to nobody; and the CMD_RESUME that a stalled
 * transaction gets in return. The domain's iopf_handler takes the place of
 * iommufd's fault queue.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-nested-model.h"
#include "arm-smmu-v3-viommu.h"

#define TEST_SID		0x21
#define TEST_VSID		0x4200
#define TEST_STAG		0x55
#define TEST_ADDR		0x123456789000ULL
#define TEST_CTXPTR		0x40010000ULL

#define TEST_STE_S1		(STRTAB_STE_0_V | TEST_CTXPTR |		\
				 FIELD_PREP(STRTAB_STE_0_CFG,		\
					    STRTAB_STE_0_CFG_S1_TRANS))

/* What iommufd's fault queue would hold */
struct stall_queue {
	struct iommu_domain *domain;
	struct iommu_attach_handle handle;
	struct list_head groups;
	unsigned int count;
	/* Optional: the handler waits in between */
	struct completion *entered;
	struct completion *proceed;
};

struct stall_test {
	struct nested_model *m;
	struct nested_model_dev *d;
	struct iommu_domain *parent;
	struct nested_model_viommu *v;
};

static int stall_handler(struct iopf_group *group)
{
	struct stall_queue *q = group->attach_handle->domain->fault_data;

	if (q->entered) {
		complete(q->entered);
		wait_for_completion(q->proceed);
	}
	list_add_tail(&group->node, &q->groups);
	q->count++;
	return 0;
}

static struct stall_test *stall_setup(struct kunit *test,
				      const struct nested_model_conf *conf)
{
	const u32 sid = TEST_SID;
	struct stall_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->m = nested_model(test, conf);
	t->d = nested_model_dev(t->m, "arm-smmu-v3-stall", &sid, 1);
	/* As dma-can-stall in the device tree */
	if (conf->stall_model == IDR0_STALL_MODEL_STALL)
		t->d->master.stall_enabled = true;
	t->parent = nested_model_parent(t->d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	t->v = nested_model_viommu(t->d, t->parent);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(t->v, t->d, TEST_VSID));
	return t;
}

static void stall_drop(void *data)
{
	struct stall_queue *q = data;
	struct iopf_group *group, *next;

	list_for_each_entry_safe(group, next, &q->groups, node) {
		list_del(&group->node);
		iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
		iopf_free_group(group);
	}
}

/* A nested domain with a fault queue, and the device on it */
static struct stall_queue *stall_queue(struct kunit *test, struct stall_test *t)
{
	struct stall_queue *q = kunit_kzalloc(test, sizeof(*q), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, q);
	INIT_LIST_HEAD(&q->groups);
	q->domain = nested_model_nested(t->v, TEST_STE_S1, 0);
	q->domain->iopf_handler = stall_handler;
	q->domain->fault_data = q;
	q->handle.domain = q->domain;
	if (!t->d->master.iopf_enabled)
		KUNIT_ASSERT_EQ(test, 0,
				arm_smmu_ops.dev_enable_feat(t->d->dev,
							     IOMMU_DEV_FEAT_IOPF));
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, q->domain, &q->handle));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stall_drop, q));
	return q;
}

static void stall_event(struct stall_test *t, u32 sid, u64 w1)
{
	const u64 evt[EVTQ_ENT_DWORDS] = {
		FIELD_PREP(EVTQ_0_ID, EVT_ID_TRANSLATION_FAULT) |
			FIELD_PREP(EVTQ_0_SID, sid),
		FIELD_PREP(EVTQ_1_STAG, TEST_STAG) | EVTQ_1_STALL | w1,
		TEST_ADDR,
		~0ULL,
	};

	nested_model_event(t->m, evt);
}

/* Answer all that waits, as a write to the fault queue's file does */
static void stall_answer(struct stall_queue *q,
			 enum iommu_page_response_code code)
{
	struct iopf_group *group, *next;

	list_for_each_entry_safe(group, next, &q->groups, node) {
		list_del(&group->node);
		iopf_group_response(group, code);
		iopf_free_group(group);
	}
}

/* From command @from on there is just one CMD_RESUME, and it is this */
static void expect_resume(struct kunit *test, struct stall_test *t,
			  unsigned int from, u32 sid, u16 stag, u64 resp)
{
	KUNIT_ASSERT_EQ(test, 1,
			nested_model_count(t->m, from, CMDQ_OP_RESUME, ~0U));
	while (FIELD_GET(CMDQ_0_OP, nested_model_cmd(t->m, from, 0)) !=
	       CMDQ_OP_RESUME)
		from = nested_model_next(from);
	KUNIT_EXPECT_EQ(test, nested_model_cmd(t->m, from, 0),
			CMDQ_OP_RESUME | FIELD_PREP(CMDQ_RESUME_0_SID, sid) |
				FIELD_PREP(CMDQ_RESUME_0_RESP, resp));
	KUNIT_EXPECT_EQ(test, nested_model_cmd(t->m, from, 1),
			FIELD_PREP(CMDQ_RESUME_1_STAG, stag));
}

/* A transaction stalls and is aborted at once, when its event is read */
static void expect_aborted(struct kunit *test, struct stall_test *t, u64 w1)
{
	unsigned int from = nested_model_issued(t->m);

	stall_event(t, TEST_SID, w1);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);
}

static void expect_no_resume(struct kunit *test, struct stall_test *t,
			     unsigned int from)
{
	KUNIT_EXPECT_EQ(test, 0,
			nested_model_count(t->m, from, CMDQ_OP_RESUME, ~0U));
}

/* The fault of stall_event(), as the guest sees it if it never stalled */
static void expect_vevent(struct kunit *test, struct stall_test *t)
{
	u64 evt[EVTQ_ENT_DWORDS];

	KUNIT_ASSERT_TRUE(test, nested_model_vevent(t->v, evt));
	KUNIT_EXPECT_EQ(test, evt[0],
			FIELD_PREP(EVTQ_0_ID, EVT_ID_TRANSLATION_FAULT) |
				FIELD_PREP(EVTQ_0_SID, TEST_VSID));
	KUNIT_EXPECT_EQ(test, evt[1], 0);
	KUNIT_EXPECT_EQ(test, evt[2], TEST_ADDR);
	KUNIT_EXPECT_EQ(test, evt[3], 0);
	KUNIT_EXPECT_FALSE(test, nested_model_vevent(t->v, evt));
}

static void expect_no_vevent(struct kunit *test, struct stall_test *t)
{
	u64 evt[EVTQ_ENT_DWORDS];

	KUNIT_EXPECT_FALSE(test, nested_model_vevent(t->v, evt));
}

static const struct nested_model_conf conf_stall = {
	.stall_model = IDR0_STALL_MODEL_STALL,
};

static const struct nested_model_conf conf_force = {
	.stall_model = IDR0_STALL_MODEL_FORCE,
};

/* Read by the VMM, and answered: once retried, once terminated */
static void stall_test_answer(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	const struct iommu_fault_page_request *prm;
	struct iopf_group *group;
	unsigned int from;

	KUNIT_EXPECT_FALSE(test, nested_model_ste(t->m, TEST_SID, 1) &
					 STRTAB_STE_1_S1STALLD);

	from = nested_model_issued(t->m);
	stall_event(t, TEST_SID, EVTQ_1_RnW);
	nested_model_irq(t->m);
	KUNIT_ASSERT_EQ(test, q->count, 1);
	expect_no_resume(test, t, from);
	expect_no_vevent(test, t);

	group = list_first_entry(&q->groups, struct iopf_group, node);
	prm = &group->last_fault.fault.prm;
	KUNIT_EXPECT_EQ(test, prm->flags, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
	KUNIT_EXPECT_EQ(test, prm->grpid, TEST_STAG);
	KUNIT_EXPECT_EQ(test, prm->addr, TEST_ADDR);
	KUNIT_EXPECT_EQ(test, prm->perm, IOMMU_FAULT_PERM_READ);

	stall_answer(q, IOMMU_PAGE_RESP_SUCCESS);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_RETRY);

	from = nested_model_issued(t->m);
	stall_event(t, TEST_SID, 0);
	nested_model_irq(t->m);
	KUNIT_ASSERT_EQ(test, q->count, 2);
	expect_no_resume(test, t, from);
	stall_answer(q, IOMMU_PAGE_RESP_INVALID);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);
}

/* The guest has a table of PASIDs of its own; what they fault on is in its queue */
static void stall_test_pasid(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	const u64 evt[EVTQ_ENT_DWORDS] = {
		FIELD_PREP(EVTQ_0_ID, EVT_ID_ACCESS_FAULT) | EVTQ_0_SSV |
			FIELD_PREP(EVTQ_0_SSID, 7) |
			FIELD_PREP(EVTQ_0_SID, TEST_SID),
		FIELD_PREP(EVTQ_1_STAG, 0xffff) | EVTQ_1_STALL,
		TEST_ADDR,
	};
	const struct iommu_fault_page_request *prm;
	struct iopf_group *group;

	nested_model_event(t->m, evt);
	nested_model_irq(t->m);
	KUNIT_ASSERT_EQ(test, q->count, 1);
	group = list_first_entry(&q->groups, struct iopf_group, node);
	prm = &group->last_fault.fault.prm;
	KUNIT_EXPECT_EQ(test, prm->flags,
			IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
				IOMMU_FAULT_PAGE_REQUEST_PASID_VALID);
	KUNIT_EXPECT_EQ(test, prm->pasid, 7);
	KUNIT_EXPECT_EQ(test, prm->grpid, 0xffff);
}

/* Nobody to answer: the STE forbids stalls, or each is terminated at once */
static void stall_test_no_queue(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	KUNIT_EXPECT_TRUE(test, nested_model_ste(t->m, TEST_SID, 1) &
					STRTAB_STE_1_S1STALLD);
	KUNIT_EXPECT_FALSE(test, nested_model_ste(t->m, TEST_SID, 2) &
					 STRTAB_STE_2_S2S);

	/* An SMMU that stalls nevertheless: not left waiting */
	expect_aborted(test, t, 0);
	expect_vevent(test, t);

	/* And a device that was never said to stall */
	t->d->master.stall_enabled = false;
	expect_aborted(test, t, 0);
	expect_vevent(test, t);
}

/* A device that can't stall has S1STALLD set, fault queue or not */
static void stall_test_cannot(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);

	t->d->master.stall_enabled = false;
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, q->domain, &q->handle));
	KUNIT_EXPECT_TRUE(test, nested_model_ste(t->m, TEST_SID, 1) &
					STRTAB_STE_1_S1STALLD);
}

/* An SMMU that can but stall, and no fault queue */
static void stall_test_forced(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_force);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	/* S1STALLD is ILLEGAL here, and S2S must be set */
	KUNIT_EXPECT_FALSE(test, nested_model_ste(t->m, TEST_SID, 1) &
					 STRTAB_STE_1_S1STALLD);
	KUNIT_EXPECT_TRUE(test, nested_model_ste(t->m, TEST_SID, 2) &
					STRTAB_STE_2_S2S);

	for (i = 0; i < 3; i++) {
		expect_aborted(test, t, 0);
		expect_vevent(test, t);
	}
}

/* Stage 2 is the host's: neither the fault queue nor the vEVENTQ hear of it */
static void stall_test_stage2(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_force);
	struct stall_queue *q = stall_queue(test, t);

	expect_aborted(test, t, EVTQ_1_S2);
	KUNIT_EXPECT_EQ(test, q->count, 0);
	expect_no_vevent(test, t);
}

/* A device that stalls on a domain of the host's: as without a guest */
static void stall_test_host(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, t->parent, NULL));
	expect_aborted(test, t, 0);
	expect_no_vevent(test, t);
}

/* Read from the event queue when the device is off the domain */
static void stall_test_detached(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	struct stall_queue *other;
	unsigned int from;

	stall_event(t, TEST_SID, 0);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, arm_smmu_ops.blocked_domain,
					    NULL));
	from = nested_model_issued(t->m);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);

	/* It is not for the next owner of the device */
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, q->domain, &q->handle));
	stall_event(t, TEST_SID, 0);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, arm_smmu_ops.blocked_domain,
					    NULL));
	other = stall_queue(test, t);
	from = nested_model_issued(t->m);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);
	KUNIT_EXPECT_EQ(test, q->count, 0);
	KUNIT_EXPECT_EQ(test, other->count, 0);
	expect_no_vevent(test, t);

	/* What comes afterwards is */
	stall_event(t, TEST_SID, 0);
	nested_model_irq(t->m);
	KUNIT_EXPECT_EQ(test, other->count, 1);
}

/* From one of a guest's domains to another: the fault goes to where it is now */
static void stall_test_replaced(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	struct iommu_domain *plain = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct stall_queue *other;
	unsigned int from;

	stall_event(t, TEST_SID, 0);
	other = stall_queue(test, t);
	nested_model_irq(t->m);
	KUNIT_EXPECT_EQ(test, q->count, 0);
	KUNIT_EXPECT_EQ(test, other->count, 1);

	stall_event(t, TEST_SID, 0);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, plain, NULL));
	from = nested_model_issued(t->m);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);
	expect_vevent(test, t);
}

struct stall_sync {
	struct stall_test *t;
	struct completion done;
};

static int stall_irq_thread(void *data)
{
	struct stall_sync *s = data;

	nested_model_irq(s->t->m);
	complete(&s->done);
	return 0;
}

static int stall_sync_thread(void *data)
{
	struct stall_sync *s = data;

	arm_smmu_ops.fault_sync(s->t->d->dev);
	complete(&s->done);
	return 0;
}

/*
 * A report that has found the fault queue is through when fault_sync() returns:
 * iommufd empties the queue then, and frees what the report holds.
 */
static void stall_test_sync(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	DECLARE_COMPLETION_ONSTACK(entered);
	DECLARE_COMPLETION_ONSTACK(proceed);
	struct stall_sync irq = { .t = t }, sync = { .t = t };
	struct task_struct *irq_task, *sync_task;
	unsigned long early;

	init_completion(&irq.done);
	init_completion(&sync.done);
	q->entered = &entered;
	q->proceed = &proceed;

	stall_event(t, TEST_SID, 0);
	irq_task = kthread_run(stall_irq_thread, &irq, "stall_irq");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, irq_task);
	wait_for_completion(&entered);

	sync_task = kthread_run(stall_sync_thread, &sync, "stall_sync");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, sync_task);
	early = wait_for_completion_timeout(&sync.done, HZ / 20);
	KUNIT_EXPECT_EQ(test, early, 0);
	KUNIT_EXPECT_EQ(test, q->count, 0);
	complete(&proceed);
	if (!early && !IS_ERR(sync_task)) {
		wait_for_completion(&sync.done);
		KUNIT_EXPECT_EQ(test, READ_ONCE(q->count), 1);
	}
	wait_for_completion(&irq.done);
	q->entered = NULL;
}

/* It stalled when the stream was the host's, and is read when it is a guest's */
static void stall_test_former_host(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	const u64 pasids[] = { 0, EVTQ_0_SSV | FIELD_PREP(EVTQ_0_SSID, 7) };
	unsigned int from, i;

	for (i = 0; i < ARRAY_SIZE(pasids); i++) {
		const u64 evt[EVTQ_ENT_DWORDS] = {
			FIELD_PREP(EVTQ_0_ID, EVT_ID_TRANSLATION_FAULT) |
				FIELD_PREP(EVTQ_0_SID, TEST_SID) | pasids[i],
			FIELD_PREP(EVTQ_1_STAG, TEST_STAG) | EVTQ_1_STALL,
			TEST_ADDR,
		};

		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->d, t->parent, NULL));
		nested_model_irq(t->m);
		nested_model_event(t->m, evt);
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->d, q->domain, &q->handle));
		from = nested_model_issued(t->m);
		nested_model_irq(t->m);
		expect_resume(test, t, from, TEST_SID, TEST_STAG,
			      CMDQ_RESUME_0_RESP_ABORT);
		KUNIT_EXPECT_EQ(test, q->count, 0);
		expect_no_vevent(test, t);
	}

	/* Its own it gets */
	stall_event(t, TEST_SID, 0);
	nested_model_irq(t->m);
	KUNIT_EXPECT_EQ(test, q->count, 1);
}

/*
 * A fault queue of a HWPT that is not nested: nobody puts faults into it, unless the
 * device's are taken for something else, as a nested domain that it was on before
 */
static void stall_test_paging(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = kunit_kzalloc(test, sizeof(*q), GFP_KERNEL);
	unsigned int from;

	KUNIT_ASSERT_NOT_NULL(test, q);
	INIT_LIST_HEAD(&q->groups);
	q->domain = t->parent;
	q->domain->iopf_handler = stall_handler;
	q->domain->fault_data = q;
	q->handle.domain = q->domain;
	KUNIT_ASSERT_EQ(test, 0,
			arm_smmu_ops.dev_enable_feat(t->d->dev, IOMMU_DEV_FEAT_IOPF));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, q->domain, &q->handle));

	/* A warning in the kernel's log fails the run */
	from = nested_model_issued(t->m);
	stall_event(t, TEST_SID, 0);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID, TEST_STAG, CMDQ_RESUME_0_RESP_ABORT);
	KUNIT_EXPECT_EQ(test, q->count, 0);
	expect_no_vevent(test, t);

	stall_queue(test, t);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, q->domain, &q->handle));
	nested_model_irq(t->m);
	from = nested_model_issued(t->m);
	stall_event(t, TEST_SID, 0);
	nested_model_irq(t->m);
	KUNIT_EXPECT_EQ(test, q->count, 1);
	KUNIT_EXPECT_EQ(test, nested_model_issued(t->m), from);
	stall_answer(q, IOMMU_PAGE_RESP_SUCCESS);
	expect_resume(test, t, from, TEST_SID, TEST_STAG, CMDQ_RESUME_0_RESP_RETRY);
	expect_no_vevent(test, t);
}

struct stall_attach {
	struct stall_test *t;
	struct iommu_domain *domain;
	int ret;
	struct completion done;
};

static int stall_attach_thread(void *data)
{
	struct stall_attach *a = data;

	a->ret = a->domain->ops->attach_dev(a->domain, a->t->d->dev);
	complete(&a->done);
	return 0;
}

/*
 * A report that has found that the stream is the host's is through when the attach
 * returns: the IOMMU core makes the fault queue known then.
 */
static void stall_test_attach_sync(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct stall_queue *q = stall_queue(test, t);
	struct stall_attach a = { .t = t, .domain = q->domain };
	unsigned long early, end = jiffies + 10 * HZ;
	struct task_struct *task;

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, t->parent, NULL));
	nested_model_irq(t->m);
	init_completion(&a.done);

	/* As the event thread while it reports */
	mutex_lock(&t->m->smmu.streams_mutex);
	task = kthread_run(stall_attach_thread, &a, "stall_attach");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
	if (IS_ERR_OR_NULL(task)) {
		mutex_unlock(&t->m->smmu.streams_mutex);
		return;
	}
	/* Who decides from here on knows that the stream is the guest's */
	while (!xa_load(&t->m->smmu.nested_sids, TEST_SID) &&
	       time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&t->m->smmu.nested_sids, TEST_SID));
	early = wait_for_completion_timeout(&a.done, HZ / 20);
	KUNIT_EXPECT_EQ(test, early, 0);
	mutex_unlock(&t->m->smmu.streams_mutex);
	if (!early)
		wait_for_completion(&a.done);
	KUNIT_EXPECT_EQ(test, a.ret, 0);
}

/* Read from the event queue when the device itself is gone */
static void stall_test_gone(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	unsigned int from = nested_model_issued(t->m);

	stall_event(t, TEST_SID + 1, 0);
	nested_model_irq(t->m);
	expect_resume(test, t, from, TEST_SID + 1, TEST_STAG,
		      CMDQ_RESUME_0_RESP_ABORT);
	expect_no_vevent(test, t);
}

static struct kunit_case stall_cases[] = {
	KUNIT_CASE(stall_test_answer),
	KUNIT_CASE(stall_test_pasid),
	KUNIT_CASE(stall_test_no_queue),
	KUNIT_CASE(stall_test_cannot),
	KUNIT_CASE(stall_test_forced),
	KUNIT_CASE(stall_test_stage2),
	KUNIT_CASE(stall_test_host),
	KUNIT_CASE(stall_test_detached),
	KUNIT_CASE(stall_test_replaced),
	KUNIT_CASE(stall_test_former_host),
	KUNIT_CASE(stall_test_paging),
	KUNIT_CASE(stall_test_attach_sync),
	KUNIT_CASE(stall_test_gone),
	KUNIT_CASE(stall_test_sync),
	{}
};

static struct kunit_suite stall_suite = {
	.name = "arm-smmu-v3-nested-stall",
	.test_cases = stall_cases,
};

/*
 * Events that do not stall
 */

static void event_record(u64 *evt, u8 id, u32 sid, u64 w1)
{
	evt[0] = FIELD_PREP(EVTQ_0_ID, id) | FIELD_PREP(EVTQ_0_SID, sid);
	evt[1] = w1;
	evt[2] = TEST_ADDR;
	evt[3] = ~0ULL;
}

static void event_send(struct stall_test *t, u8 id, u32 sid, u64 w1)
{
	u64 evt[EVTQ_ENT_DWORDS];

	event_record(evt, id, sid, w1);
	nested_model_event(t->m, evt);
	nested_model_irq(t->m);
}

/* For each of two devices on a vIOMMU, and by the vSID of each */
static void event_test_forwarded(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	const u32 sid = TEST_SID + 1;
	struct nested_model_dev *other;
	u64 evt[EVTQ_ENT_DWORDS];

	other = nested_model_dev(t->m, "arm-smmu-v3-other", &sid, 1);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(t->v, other, 7));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(other, nested, NULL));

	event_send(t, EVT_ID_TRANSLATION_FAULT, sid, 0);
	event_send(t, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	KUNIT_ASSERT_TRUE(test, nested_model_vevent(t->v, evt));
	KUNIT_EXPECT_EQ(test, FIELD_GET(EVTQ_0_SID, evt[0]), 7);
	expect_vevent(test, t);
	/* Nothing of it stalls, so nothing is resumed */
	expect_no_resume(test, t, 0);

	/* One of them goes, the other stays */
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(other, arm_smmu_ops.blocked_domain,
					    NULL));
	event_send(t, EVT_ID_TRANSLATION_FAULT, sid, 0);
	event_send(t, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	expect_vevent(test, t);
}

/* Returned by arm_smmu_vevent_report(): is there nothing left for the host? */
static bool event_taken(struct stall_test *t, u8 id, u32 sid, u64 w1)
{
	u64 evt[EVTQ_ENT_DWORDS];

	event_record(evt, id, sid, w1);
	return arm_smmu_vevent_report(&t->m->smmu, evt);
}

static void event_test_owner(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct iommu_domain *bypass;
	u64 evt[EVTQ_ENT_DWORDS];

	bypass = nested_model_nested(t->v, STRTAB_STE_0_V |
					   FIELD_PREP(STRTAB_STE_0_CFG,
						      STRTAB_STE_0_CFG_BYPASS),
				     0);

	/* The device has a vDEVICE, but is not on a nested domain */
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, TEST_SID, 0));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, t->parent, NULL));
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, TEST_SID, 0));

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	KUNIT_EXPECT_TRUE(test, event_taken(t, 0x10, TEST_SID, 0));
	KUNIT_EXPECT_TRUE(test, nested_model_vevent(t->v, evt));
	/* Stage 2, a stall, an event of the host's, another stream, none at all */
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, TEST_SID, EVTQ_1_S2));
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, TEST_SID, EVTQ_1_STALL));
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x03, TEST_SID, 0));
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, TEST_SID + 1, 0));
	KUNIT_EXPECT_FALSE(test, event_taken(t, 0x10, ~0U, 0));
	expect_no_vevent(test, t);

	/* Bypass has no stage 1, but can refuse translation requests */
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, bypass, NULL));
	KUNIT_EXPECT_TRUE(test, event_taken(t, 0x05, TEST_SID, 0));
	KUNIT_EXPECT_TRUE(test, nested_model_vevent(t->v, evt));
}

/* Dropped, but not the host's: no room, no vEVENTQ, no vDEVICE */
static void event_test_dropped(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct iommufd_vdevice *vdev;
	u64 evt[EVTQ_ENT_DWORDS];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	for (i = 0; i < NESTED_MODEL_EVENTS + 3; i++)
		KUNIT_EXPECT_TRUE(test, event_taken(t, 0x10, TEST_SID, 0));
	for (i = 0; i < NESTED_MODEL_EVENTS; i++)
		KUNIT_EXPECT_TRUE(test, nested_model_vevent(t->v, evt));
	expect_no_vevent(test, t);
	KUNIT_EXPECT_TRUE(test, t->v->veventq.ring.lost);

	list_del_rcu(&t->v->veventq.node);
	KUNIT_EXPECT_TRUE(test, event_taken(t, 0x10, TEST_SID, 0));
	list_add_tail_rcu(&t->v->veventq.node, &t->v->smmu.core.veventqs);
	expect_no_vevent(test, t);

	vdev = xa_erase(&t->v->smmu.core.vdevs, TEST_VSID);
	t->v->smmu.core.ops->vdevice_unpublish(vdev);
	KUNIT_EXPECT_TRUE(test, event_taken(t, 0x10, TEST_SID, 0));
	expect_no_vevent(test, t);
}

/* Of the guest and of the host after it, read together */
static void event_test_late(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	u64 evt[EVTQ_ENT_DWORDS];
	unsigned int i;

	event_record(evt, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
		nested_model_event(t->m, evt);
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->d, arm_smmu_ops.blocked_domain,
						    NULL));
		KUNIT_EXPECT_NOT_NULL(test, xa_load(&t->m->smmu.nested_sids,
						    TEST_SID));
		nested_model_event(t->m, evt);
		nested_model_irq(t->m);
		/* One is dropped, the other is the host's, and the era is forgotten */
		expect_no_vevent(test, t);
		KUNIT_EXPECT_NULL(test, xa_load(&t->m->smmu.nested_sids, TEST_SID));
	}
}

/*
 * The thread has found whose an event is, and before it has found the vDEVICE the
 * device is with another VM
 */
static void event_test_handed_on(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct nested_model_viommu *v = nested_model_viommu(t->d, t->parent);
	u64 evt[EVTQ_ENT_DWORDS], seen[EVTQ_ENT_DWORDS];
	struct iommufd_vdevice *vdev;

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	event_record(evt, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	event_send(t, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	expect_vevent(test, t);
	/* As long as nothing changes the event has one owner */
	arm_smmu_vevent_forward(&t->m->smmu, evt);
	expect_vevent(test, t);

	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, arm_smmu_ops.blocked_domain,
					    NULL));
	vdev = xa_erase(&t->v->smmu.core.vdevs, TEST_VSID);
	t->v->smmu.core.ops->vdevice_unpublish(vdev);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, t->d, 7));
	arm_smmu_vevent_forward(&t->m->smmu, evt);
	KUNIT_EXPECT_FALSE(test, nested_model_vevent(v, seen));

	nested = nested_model_nested(v, TEST_STE_S1, 0);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
	arm_smmu_vevent_forward(&t->m->smmu, evt);
	KUNIT_EXPECT_FALSE(test, nested_model_vevent(v, seen));
	expect_no_vevent(test, t);

	/* Events of its own it gets */
	event_send(t, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	KUNIT_ASSERT_TRUE(test, nested_model_vevent(v, seen));
	KUNIT_EXPECT_EQ(test, FIELD_GET(EVTQ_0_SID, seen[0]), 7);
	KUNIT_EXPECT_FALSE(test, nested_model_vevent(v, seen));
	expect_no_vevent(test, t);
}

/* The SMMU had more events than the queue has room for: those in it count */
static void event_test_overflow(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	struct iommu_domain *nested = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct arm_smmu_queue *q = &t->m->smmu.evtq.q;
	u64 evt[EVTQ_ENT_DWORDS];
	unsigned int i, round;
	u32 ovf = 0;

	event_record(evt, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	for (round = 0; round < 2; round++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, nested, NULL));
		for (i = 0; i < 3; i++)
			nested_model_event(t->m, evt);
		ovf ^= Q_OVERFLOW_FLAG;
		writel((readl(q->prod_reg) & ~Q_OVERFLOW_FLAG) | ovf, q->prod_reg);
		nested_model_irq(t->m);
		/* Acknowledged */
		KUNIT_EXPECT_EQ(test, Q_OVF(readl(q->cons_reg)), ovf);
		for (i = 0; i < 2; i++)
			KUNIT_EXPECT_TRUE(test, nested_model_vevent(t->v, evt));
		expect_vevent(test, t);
		event_record(evt, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	}
}

static void event_overflow(struct nested_model *m)
{
	struct arm_smmu_queue *q = &m->smmu.evtq.q;

	writel(readl(q->prod_reg) ^ Q_OVERFLOW_FLAG, q->prod_reg);
	nested_model_irq(m);
}

/* When the queue overflowed each guest has lost something, once */
static void event_test_loss(struct kunit *test)
{
	struct stall_test *t = stall_setup(test, &conf_stall);
	const u32 sids[] = { TEST_SID + 1, TEST_SID + 2 };
	struct nested_model_dev *d[2];
	struct nested_model_viommu *v;
	u32 round, pos;

	d[0] = nested_model_dev(t->m, "arm-smmu-v3-same-vm", &sids[0], 1);
	d[1] = nested_model_dev(t->m, "arm-smmu-v3-other-vm", &sids[1], 1);
	v = nested_model_viommu(d[1], t->parent);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(t->v, d[0], 7));
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, d[1], 7));

	for (round = 0; round < 3; round++) {
		event_overflow(t->m);
		KUNIT_EXPECT_EQ(test,
				iommufd_veventq_ring_peek(&t->v->veventq.ring, &pos),
				IOMMUFD_VEVENTQ_LOST);
		KUNIT_EXPECT_EQ(test, pos, round);
		KUNIT_EXPECT_EQ(test,
				iommufd_veventq_ring_peek(&v->veventq.ring, &pos),
				IOMMUFD_VEVENTQ_LOST);
		KUNIT_EXPECT_EQ(test, pos, round);
		/* As long as it does not overflow again there is nothing new */
		nested_model_irq(t->m);
	}
}

/* Lines about the SMMU in the kernel log that say that the queue overflowed */
static unsigned int event_overflow_lines(struct nested_model *m)
{
	struct kmsg_dump_iter iter;
	unsigned int n = 0;
	char line[256];
	size_t len;

	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, sizeof(line) - 1, &len)) {
		line[len] = 0;
		/* A model has a name of its own */
		n += strstr(line, dev_name(m->smmu.dev)) &&
		     strstr(line, "EVTQ overflow");
	}
	return n;
}

/* A guest can have it overflow all the time. The host is to know, not to drown. */
static void event_test_overflow_log(struct kunit *test)
{
	struct nested_model *m = stall_setup(test, &conf_stall)->m;
	unsigned int i;

	if (!IS_ENABLED(CONFIG_PRINTK))
		kunit_skip(test, "no kernel log");

	for (i = 0; i < 100; i++)
		event_overflow(m);
	/* Ten; twice if it takes so long */
	KUNIT_EXPECT_LE(test, event_overflow_lines(m), 2 * DEFAULT_RATELIMIT_BURST);

	/* Others may have had the ten */
	if (!event_overflow_lines(m)) {
		schedule_timeout_uninterruptible(DEFAULT_RATELIMIT_INTERVAL + 1);
		event_overflow(m);
	}
	KUNIT_EXPECT_GT(test, event_overflow_lines(m), 0);
}

/*
 * A device that faults as soon as one of its faults is read, until somebody else runs.
 * With preemption somebody does in any case.
 */
struct event_flood {
	struct stall_test *t;
	unsigned long end;
	bool others_run;
	struct completion done;
};

static int event_flood_other(void *data)
{
	struct event_flood *flood = data;

	WRITE_ONCE(flood->others_run, true);
	complete(&flood->done);
	return 0;
}

static bool event_flood_report(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct event_flood *flood = kunit_get_current_test()->priv;
	u64 again[EVTQ_ENT_DWORDS];

	memcpy(again, evt, sizeof(again));
	if (!READ_ONCE(flood->others_run) && time_before(jiffies, flood->end))
		nested_model_event(flood->t->m, again);
	return true;
}

static void event_test_flood(struct kunit *test)
{
	struct event_flood flood = {
		.t = stall_setup(test, &conf_stall),
	};
	struct task_struct *other;
	u64 evt[EVTQ_ENT_DWORDS];
	unsigned int cpu = raw_smp_processor_id();

	/* The two of them on one CPU */
	init_completion(&flood.done);
	test->priv = &flood;
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
	other = kthread_create(event_flood_other, &flood, "event_flood_other");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	kthread_bind(other, cpu);

	kunit_activate_static_stub(test, arm_smmu_vevent_report, event_flood_report);
	event_record(evt, EVT_ID_TRANSLATION_FAULT, TEST_SID, 0);
	nested_model_event(flood.t->m, evt);
	flood.end = jiffies + 5 * HZ;
	wake_up_process(other);
	nested_model_irq(flood.t->m);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(flood.others_run));
	kunit_deactivate_static_stub(test, arm_smmu_vevent_report);
	wait_for_completion(&flood.done);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

static struct kunit_case event_cases[] = {
	KUNIT_CASE(event_test_forwarded),
	KUNIT_CASE(event_test_owner),
	KUNIT_CASE(event_test_dropped),
	KUNIT_CASE(event_test_late),
	KUNIT_CASE(event_test_handed_on),
	KUNIT_CASE(event_test_overflow),
	KUNIT_CASE(event_test_loss),
	KUNIT_CASE(event_test_overflow_log),
	KUNIT_CASE(event_test_flood),
	{}
};

static struct kunit_suite event_suite = {
	.name = "arm-smmu-v3-nested-event",
	.test_cases = event_cases,
};

kunit_test_suites(&stall_suite, &event_suite);
