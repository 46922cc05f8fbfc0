// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's "edu" PCI device as a DMA engine
 */
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "edu.h"

#define REG_ID		0x00
#define REG_LIVENESS	0x04
#define REG_IRQ_RAISE	0x60
#define REG_IRQ_ACK	0x64
#define REG_DMA_SRC	0x80
#define REG_DMA_DST	0x88
#define REG_DMA_COUNT	0x90
#define REG_DMA_CMD	0x98

#define ID_MASK		0x000000ffu
#define ID_VALUE	0x000000edu

#define DMA_RUN		(1ull << 0)
#define DMA_TO_MEMORY	(1ull << 1)

/* Where the buffer is for the engine */
#define BUFFER_ADDR	0x40000ull

#define POLL_US		2000
#define POLL_MAX	2500

/* One access each, as the code says */

static uint32_t rd32(const struct edu *e, unsigned int reg)
{
	return __atomic_load_n((uint32_t *)((char *)e->bar0 + reg), __ATOMIC_RELAXED);
}

static void wr32(const struct edu *e, unsigned int reg, uint32_t value)
{
	__atomic_store_n((uint32_t *)((char *)e->bar0 + reg), value, __ATOMIC_RELAXED);
}

static uint64_t rd64(const struct edu *e, unsigned int reg)
{
	return __atomic_load_n((uint64_t *)((char *)e->bar0 + reg), __ATOMIC_RELAXED);
}

static void wr64(const struct edu *e, unsigned int reg, uint64_t value)
{
	__atomic_store_n((uint64_t *)((char *)e->bar0 + reg), value, __ATOMIC_RELAXED);
}

/* Memory is written before the device is told, and read after it is done */
static void barrier(void)
{
#ifdef __aarch64__
	__asm__ volatile("dsb sy" ::: "memory");
#else
	__sync_synchronize();
#endif
}

int edu_probe(struct edu *e, void *bar0)
{
	e->bar0 = bar0;
	wr32(e, REG_LIVENESS, 0x12345678);
	if ((rd32(e, REG_ID) & ID_MASK) != ID_VALUE ||
	    rd32(e, REG_LIVENESS) != ~0x12345678u)
		return -ENODEV;
	return 0;
}

static void start(const struct edu *e, uint64_t src, uint64_t dst, uint32_t len,
		  uint64_t direction)
{
	barrier();
	wr64(e, REG_DMA_SRC, src);
	wr64(e, REG_DMA_DST, dst);
	wr64(e, REG_DMA_COUNT, len);
	wr64(e, REG_DMA_CMD, DMA_RUN | direction);
}

static int transfer(const struct edu *e, uint64_t src, uint64_t dst, uint32_t len,
		    uint64_t direction)
{
	unsigned int i;

	start(e, src, dst, len, direction);
	for (i = 0; i < POLL_MAX; i++) {
		if (!(rd64(e, REG_DMA_CMD) & DMA_RUN)) {
			barrier();
			return 0;
		}
		usleep(POLL_US);
	}
	return -ETIMEDOUT;
}

static bool in_buffer(uint32_t offset, uint32_t len)
{
	return len && len <= EDU_BUFFER && offset <= EDU_BUFFER - len;
}

/**
 * edu_read - Memory to buffer
 * @e: The device
 * @iova: Address that it puts on the bus
 * @offset: In the buffer
 * @len: Bytes
 *
 * Return: 0 when the engine is done, whatever became of the accesses; -EINVAL,
 * -ETIMEDOUT
 */
int edu_read(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len)
{
	if (!in_buffer(offset, len))
		return -EINVAL;
	return transfer(e, iova, BUFFER_ADDR + offset, len, 0);
}

/* edu_write - Buffer to memory, see edu_read() */
int edu_write(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len)
{
	if (!in_buffer(offset, len))
		return -EINVAL;
	return transfer(e, BUFFER_ADDR + offset, iova, len, DMA_TO_MEMORY);
}

/* edu_start_write - edu_write() that does not wait; 0 or -EINVAL */
int edu_start_write(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len)
{
	if (!in_buffer(offset, len))
		return -EINVAL;
	start(e, BUFFER_ADDR + offset, iova, len, DMA_TO_MEMORY);
	return 0;
}

/* Does the engine still work on what edu_start_write() began? */
bool edu_busy(const struct edu *e)
{
	return rd64(e, REG_DMA_CMD) & DMA_RUN;
}

void edu_raise(const struct edu *e, uint32_t value)
{
	barrier();
	wr32(e, REG_IRQ_RAISE, value);
}

void edu_ack(const struct edu *e, uint32_t value)
{
	wr32(e, REG_IRQ_ACK, value);
}
