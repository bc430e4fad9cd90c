# `sam build --config-env local` uses this instead of the Makefiles beside the code: the same rules,
# with the layer's wheels for the emulator's interpreter, which runs every function whatever its Runtime,
# and without the archive for Managed Flink, which the emulator does not have.
INFRA := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
LAYER_INTERPRETER := $(INFRA)/../.venvs/ministack/bin/python
MANAGED_FLINK := no

include $(INFRA)/../src/Makefile
include $(wildcard $(INFRA)/../functions/*/Makefile)
