# `sam build --config-env local` uses this instead of the Makefiles beside the code: the same rules,
# with the layer's wheels for the emulator's interpreter, which runs every function whatever its Runtime.
INFRA := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
LAYER_INTERPRETER := $(INFRA)/../.venvs/ministack/bin/python

include $(INFRA)/../src/Makefile
include $(wildcard $(INFRA)/../functions/*/Makefile)
