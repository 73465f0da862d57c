"""State dicts as torch.save writes them (PyTorch 1.13), torch_*.pt: read by tests/data/test_pytorch.cpp."""
import torch, os, collections
os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(1)
net=lambda: torch.nn.Sequential(torch.nn.Linear(6,4),torch.nn.ReLU(),torch.nn.Linear(4,3))
a=net(); sd=a.state_dict()
torch.save(sd,'torch_state_dict.pt')
torch.save({'epoch':3,'state_dict':sd,'optimizer':torch.optim.Adam(a.parameters()).state_dict(),'loss':0.5,'args':{'lr':1e-3,'name':'x','ok':True,'none':None,'list':[1,2,(3,4)]}},'torch_nested.pt')
torch.save([net().state_dict() for _ in range(3)],'torch_list.pt')
class BN(torch.nn.Module):
    def __init__(s):
        super().__init__(); s.fc1=torch.nn.Linear(6,4); s.bn=torch.nn.BatchNorm1d(4); s.fc2=torch.nn.Linear(4,3)
torch.save(BN().half().state_dict(),'torch_half_bn.pt')
torch.save(collections.OrderedDict((k,v.t() if v.dim()==2 else v) for k,v in sd.items()),'torch_transposed.pt')
torch.save({'a':sd,'b':sd},'torch_two.pt')
torch.save(a,'torch_module.pt')
torch.save(collections.OrderedDict((k,torch.nn.Parameter(v)) for k,v in sd.items()),'torch_parameters.pt')
torch.save({k:v.bfloat16() for k,v in sd.items()},'torch_bf16.pt')
torch.save(sd,'torch_old.pt',_use_new_zipfile_serialization=False)
big=torch.arange(40.).reshape(4,10); torch.save({'0.weight':big[:,2:8],'0.bias':big[:,0],'2.weight':torch.ones(3,4),'2.bias':torch.zeros(3)},'torch_views.pt')
