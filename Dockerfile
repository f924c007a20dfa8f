# The course in a container, on the CPU:
#
#   docker build -t dmsc .
#   docker run --rm -p 127.0.0.1:8888:8888 -v dmsc-lab:/course/lab dmsc
#
# then open the address with 127.0.0.1 that it prints. The pages are copies in lab/, which the volume keeps.
FROM python:3.11-slim

# PyTorch's own wheels for the CPU are a tenth of those with CUDA.
ARG TORCH_WHEELS=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 1000 student
WORKDIR /course
COPY constraints.txt ./
RUN pip install --no-cache-dir --extra-index-url ${TORCH_WHEELS} torch==2.13.0 -c constraints.txt
COPY . .
RUN pip install --no-cache-dir --extra-index-url ${TORCH_WHEELS} -c constraints.txt -e ".[notebooks,files]" \
 && mkdir -p lab runs data results/notebooks \
 && chown -R student:student lab runs data results

USER student
EXPOSE 8888
CMD ["sh", "-c", "dmsc copy-pages && exec jupyter lab --no-browser --ip=0.0.0.0 --port=8888 lab/00_start_here.ipynb"]
